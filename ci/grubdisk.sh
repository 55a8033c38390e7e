#!/bin/bash
# Makes a disk image that boots Debian's kernel by GRUB, without loop devices
# or root: ci/grubdisk.sh OUTPUT VMLINUZ INITRD [KERNEL-COMMAND-LINE]
# One MBR partition at 1 MiB with an ext2 file system; GRUB's boot.img in the
# first sector and its core image in the sectors after it, as grub-install does.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
output=$(realpath -m "$1") kernel=$(realpath "$2") initrd=$(realpath "$3")
arguments=${4:-console=ttyS0 panic=-1}
PATH=$PATH:/sbin:/usr/sbin

modules=$("$here/fetch.sh" grub-pc-bin)/usr/lib/grub/i386-pc
grub=$("$here/fetch.sh" grub-common)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/boot/grub" "$(dirname "$output")"
cp "$kernel" "$work/root/boot/vmlinuz"
cp "$initrd" "$work/root/boot/initrd.cpio"
cat >"$work/root/boot/grub/grub.cfg" <<END
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo GRUB-OK
linux /boot/vmlinuz $arguments
initrd /boot/initrd.cpio
boot
END
find "$work/root" -exec touch -d @0 {} +

"$grub/usr/bin/grub-mkimage" -O i386-pc -d "$modules" -p '(hd0,msdos1)/boot/grub' \
    -o "$work/core.img" biosdisk part_msdos ext2 normal linux serial terminal echo boot

# The partition's size: its files, a third more, and 4 MiB.
kib=$(du -sk "$work/root" | cut -f 1)
mib=$((kib * 4 / 3 / 1024 + 4))
truncate -s ${mib}M "$work/part"
mke2fs -q -t ext2 -d "$work/root" -U 6f6f6f6f-6f6f-4f6f-8f6f-6f6f6f6f6f6f \
    -E hash_seed=6f6f6f6f-6f6f-4f6f-8f6f-6f6f6f6f6f6f "$work/part"

# put OFFSET FORMAT: bytes into the image.
put() { printf "$2" | dd of="$work/disk" bs=1 seek="$1" conv=notrunc status=none; }
# little-endian bytes of a number: le NUMBER COUNT
le() { local i; for ((i = 0; i < $2; i++)); do printf '\\x%02x' $((($1 >> 8 * i) & 255)); done; }

sectors=$((($(stat -c %s "$work/core.img") + 511) / 512))
[ $sectors -lt 2047 ] || { echo "grubdisk: core image too large" >&2; exit 1; }
truncate -s $((mib + 1))M "$work/disk"
dd if="$modules/boot.img" of="$work/disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
dd if="$work/part" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
put 92 "$(le 1 8)"                          # boot.img: the core image's first sector
put 100 '\xff'                              # boot.img: the drive that the BIOS names
put 102 '\x90\x90'                          # boot.img: trust the drive number
put $((512 + 500)) "$(le 2 8)$(le $((sectors - 1)) 2)$(le $((0x820)) 2)" # the rest of the core
put 440 "$(le $((0x6f6f6f6f)) 4)"           # disk signature
put 446 "\\x80\\xfe\\xff\\xff\\x83\\xfe\\xff\\xff$(le 2048 4)$(le $((mib * 2048)) 4)"
put 510 '\x55\xaa'
mv "$work/disk" "$output"
