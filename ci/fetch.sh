#!/bin/bash
# Downloads Debian packages by name and unpacks them, without installing:
#     ci/fetch.sh NAME...
# prints, for each, the directory that holds its files (build/packages/NAME).
# linux-image-amd64, linux-image-cloud-amd64 and linux-source stand for the
# package that they depend on.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$PWD/build/packages
mkdir -p "$packages"
exec 9>"$packages/.lock" # tests run side by side
flock 9

update_once() {
    [ -z "${updated:-}" ] || return 0
    updated=1
    if [ "$(id -u)" -eq 0 ]; then apt-get update -q >&2; else sudo apt-get update -q >&2; fi
}

# The package that carries the files of $1.
resolve() {
    case $1 in
    linux-image-*amd64 | linux-source)
        apt-cache show --no-all-versions "$1" 2>/dev/null |
            sed -n 's/^Depends: \(linux-[^ ,]*\).*/\1/p' | head -n 1 ;;
    *)
        if apt-cache show --no-all-versions "$1" >/dev/null 2>&1; then echo "$1"; fi ;;
    esac
}

fetch() {
    local name=$1 package directory=$packages/$1 work
    if [ -e "$directory/.complete" ]; then
        echo "$directory"
        return
    fi
    package=$(resolve "$name")
    [ -n "$package" ] || { update_once; package=$(resolve "$name"); }
    [ -n "$package" ] || { echo "fetch: no package $name" >&2; exit 1; }
    work=$(mktemp -d "$packages/.$name.XXXXXX")
    chmod 755 "$work"
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package" >&2) || {
        update_once
        (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package" >&2)
    }
    mkdir "$work/files"
    dpkg-deb -x "$work"/*.deb "$work/files"
    basename "$work"/*.deb >"$work/files/.complete"
    rm -rf "$directory"
    mv "$work/files" "$directory"
    rm -rf "$work"
    echo "$directory"
}

for name; do fetch "$name"; done
