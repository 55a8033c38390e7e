#!/bin/bash
# The same recording under load, under nice, without address randomisation,
# and through an emulated host CPU: equal byte for byte.
. tests/common.sh
need_kernel
boot_options
expect 0 "$GROUNDHOG" record -o "$WORK/a.ghog" --quiet "${boot[@]}" </dev/null

same() {
    expect 0 "$@" "$GROUNDHOG" record -o "$WORK/b.ghog" --quiet "${boot[@]}" </dev/null
    cmp "$WORK/a.ghog" "$WORK/b.ghog" || fail "differs under: $*"
    echo "equal under: $*"
}

same nice -n 19
same setarch -R
(while :; do :; done) & one=$!
(while :; do md5sum /bin/* >/dev/null 2>&1; done) & two=$!
same env
kill $one $two
emulator=$(command -v qemu-x86_64 qemu-x86_64-static | head -n 1)
if [ -n "$emulator" ]; then
    same "$emulator" -cpu Nehalem
fi
