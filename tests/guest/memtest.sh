#!/bin/bash
# memtest86+ starts and tests memory.
. tests/common.sh
image=$(ci/fetch.sh memtest86+)/boot/memtest86+x64.bin
[ -s "$image" ] || fail "no memtest86+"
expect 124 "$GROUNDHOG" run -m 16 -kernel "$image" -append "console=ttyS0,115200" \
    --max-instructions 2G </dev/null
has "$WORK/out" "Memtest86+"
has "$WORK/out" "Test"
