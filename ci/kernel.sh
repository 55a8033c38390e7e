#!/bin/bash
# Puts Debian's kernel and the initramfs in place, made once:
#     ci/kernel.sh [linux-image-amd64|linux-image-cloud-amd64] [DIRECTORY]
# as DIRECTORY/vmlinuz and DIRECTORY/initrd.cpio (default: build/demo).
set -euo pipefail
cd "$(dirname "$0")/.."
package=${1:-linux-image-amd64}
directory=${2:-build/demo}
mkdir -p "$directory"
files=$(ci/fetch.sh "$package")
exec 8>"$directory/.lock" # tests run side by side
flock 8
cmp -s "$files"/boot/vmlinuz-* "$directory/vmlinuz" || cp "$files"/boot/vmlinuz-* "$directory/vmlinuz"
[ "$directory/initrd.cpio" -nt ci/init ] || ci/initramfs.sh "$directory/initrd.cpio"
