#!/bin/bash
# A disk image: SeaBIOS, GRUB, Debian's kernel; recorded and replayed. The
# image stays as it was.
. tests/common.sh
need_kernel
ci/grubdisk.sh "$WORK/disk.img" "$kernel" "$initrd" || fail "no disk image"
before=$(md5sum <"$WORK/disk.img")
record_and_replay disk -m 512 -no-reboot -hda "$WORK/disk.img"
has "$WORK/disk.out" "GRUB-OK"
has "$WORK/disk.out" "BOOT-OK"
[ "$(md5sum <"$WORK/disk.img")" = "$before" ] || fail "the image was written to"
