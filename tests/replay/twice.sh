#!/bin/bash
# Two recordings of the same machine are equal byte for byte, the second one
# under nice and without address randomisation.
. tests/common.sh
need_kernel
boot_options
expect 0 "$GROUNDHOG" record -o "$WORK/first.ghog" --quiet "${boot[@]}" </dev/null
expect 0 nice setarch -R "$GROUNDHOG" record -o "$WORK/second.ghog" --quiet "${boot[@]}" </dev/null
cmp "$WORK/first.ghog" "$WORK/second.ghog" || fail "two recordings differ"
