#!/bin/bash
# A Multiboot kernel of our own: loaded as ELF32 and ELF64, by the addresses of
# its header, high and low; and pc-testdev. Recorded and replayed once.
. tests/common.sh

# build NAME ADDRESS [option of as]
build() {
    as --32 ${3:-} -o "$WORK/$1.o" tests/guest/kernels/multiboot.S &&
        ld -m elf_i386 -z noexecstack --no-warn-rwx-segments --defsym ADDRESS="$2" \
            -T tests/guest/kernels/multiboot.ld -o "$WORK/$1" "$WORK/$1.o" || fail "cannot build $1"
}

build elf32 0x100000
build low 0x4000
build addresses.elf 0x200000 --defsym=ADDRESSES=1
objcopy -O elf64-x86-64 "$WORK/elf32" "$WORK/elf64" || fail "no objcopy"
objcopy -O binary "$WORK/addresses.elf" "$WORK/addresses" || fail "no objcopy"
printf 'first file\n' >"$WORK/a"
printf 'second\n' >"$WORK/b"

options=(-nodefaults -vga none -display none -serial stdio -machine accel=tcg -accel tcg,thread=single
    -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -m 16 -smp 2,sockets=2
    -cpu max,+x2apic,-umip -append "some words" -initrd "$WORK/a with arguments,$WORK/b")

for name in elf32 elf64 low addresses; do
    expect 1 "$GROUNDHOG" run -kernel "$WORK/$name" "${options[@]}" </dev/null
    has "$WORK/out" "$WORK/$name some words"
    has "$WORK/out" "$WORK/a with arguments"
    has "$WORK/out" "first file"
    has "$WORK/out" "second"
    has "$WORK/out" "line is low"
    mv "$WORK/out" "$WORK/$name.out"
done

trace=$WORK/multiboot.ghog
expect 1 "$GROUNDHOG" record --log full -o "$trace" -kernel "$WORK/elf32" "${options[@]}" </dev/null
cmp "$WORK/out" "$WORK/elf32.out" || fail "recorded, it prints something else"
for how in "" --isolated; do
    expect 1 "$GROUNDHOG" replay $how "$trace"
done

# A kernel that does not fit.
build large 0x2000000
expect 125 "$GROUNDHOG" run -kernel "$WORK/large" "${options[@]}" </dev/null
has "$WORK/err" "not in free memory"
