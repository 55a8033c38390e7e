#!/bin/bash
# Installs the Debian packages that are missing: ci/setup.sh [build] [test]
# [long] [bench] (default: the first two). docs/dependencies.md says what each is for.
set -euo pipefail

build="gcc libc6-dev make binutils libzstd-dev libxxhash-dev seabios"
test="libcmocka-dev clang llvm gdb cpio e2fsprogs cppcheck procps libzydis-dev libmpfr-dev"
long="qemu-user"
bench="python3-minimal zlib1g-dev cpio qemu-system-x86"

wanted=
for group in "${@:-build test}"; do
    for name in $group; do
        case $name in
        build) wanted+=" $build" ;;
        test) wanted+=" $test" ;;
        long) wanted+=" $long" ;;
        bench) wanted+=" $bench" ;;
        *) echo "setup.sh: unknown group $name" >&2; exit 1 ;;
        esac
    done
done

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [[ $state == ii* ]] || missing+=" $package"
done
[ -n "$missing" ] || exit 0

echo "setup: installing$missing" >&2
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: needs root or sudo to install$missing" >&2; exit 1; }
    as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q >&2
# shellcheck disable=SC2086
$as_root apt-get install -q -y --no-install-recommends $missing >&2
