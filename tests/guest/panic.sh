#!/bin/bash
# A kernel panic is never a success; a plain reset under -no-reboot is one.
. tests/common.sh
need_kernel

append="console=ttyS0 panic=-1 quiet panic"
boot_options
expect 1 "$GROUNDHOG" record -o "$WORK/panic.ghog" "${boot[@]}" </dev/null
has "$WORK/out" "Kernel panic"
has "$WORK/err" "kernel panic"
expect 1 "$GROUNDHOG" replay "$WORK/panic.ghog"

append="console=ttyS0 panic=-1 quiet reboot"
boot_options
expect 0 "$GROUNDHOG" run "${boot[@]}" </dev/null
has "$WORK/out" "BOOT-OK"
has "$WORK/err" "reset"
