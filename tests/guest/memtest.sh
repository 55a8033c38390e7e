#!/bin/bash
# memtest86+ starts and tests memory. It waits five seconds for a key first:
# twenty nanoseconds an instruction shorten that.
. tests/common.sh
image=$(ci/fetch.sh memtest86+)/boot/memtest86+x64.bin
[ -s "$image" ] || fail "no memtest86+"
expect 124 "$GROUNDHOG" run -m 16 -kernel "$image" -append "console=ttyS0,115200" \
    --ns-per-instruction 20 --max-instructions 500M </dev/null
has "$WORK/out" "Memtest86+"
has "$WORK/out" "[Address test"
has "$WORK/out" "Errors: 0"
