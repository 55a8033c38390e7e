#!/bin/sh
# sign-rom.sh FILE: makes the bytes of an option ROM add up to 0 modulo 256, by
# its last byte, which the source must leave 0.
set -eu
sum=$(od -An -v -tu1 "$1" | awk '{ for (i = 1; i <= NF; i++) s += $i } END { print s % 256 }')
size=$(wc -c < "$1")
printf "\\$(printf %03o $(((256 - sum) % 256)))" |
    dd of="$1" bs=1 seek=$((size - 1)) conv=notrunc status=none
