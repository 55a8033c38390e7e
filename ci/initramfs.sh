#!/bin/bash
# Makes an initramfs of busybox-static and ci/init, the same bytes each time:
#     ci/initramfs.sh OUTPUT [PATH-IN-ARCHIVE=FILE]...
# Files named like lib/modules/load/10-libata.ko are loaded in their order.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
output=$(realpath -m "$1")
shift
busybox=$("$here/fetch.sh" busybox-static)/bin/busybox
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root"/{bin,dev,proc,sys,tmp,root,lib/modules/load}
install -m 755 "$busybox" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
for pair; do
    install -D -m 755 "${pair#*=}" "$root/${pair%%=*}"
done
find "$root" -exec touch -h -d @0 {} +
mkdir -p "$(dirname "$output")"
(cd "$root" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
    cpio --quiet --reproducible -R 0:0 -o -H newc) >"$output.part"
mv "$output.part" "$output"
