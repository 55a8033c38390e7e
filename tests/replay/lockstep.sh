#!/bin/bash
# Test guests and the start of a kernel's boot with both engines side by side.
. tests/common.sh
grep -qw bmi2 /proc/cpuinfo || { echo "this host runs no translated code"; exit 77; }
make -s guests BUILD="$BUILD" || fail "the guests do not build"
need_kernel

check() {
    local status=$1
    shift
    expect "$status" "$GROUNDHOG" run "$@" </dev/null
    has "$WORK/err" "the engines agree"
}

for guest in smc storm paging v86 strings apic_ipi smp; do
    options=$(head -n 12 "tests/guest/$guest.S" | sed -n 's/.*guest: *//p')
    [ $guest = smc ] && options="$options -smp 4"
    check 33 -m 16 -bios "$BUILD/tests/guest/$guest.rom" -device isa-debug-exit,iobase=0xf4,iosize=4 \
        $options --engine check:9
done
boot_options
check 124 "${boot[@]}" --engine check --max-instructions 130M
check 124 "${boot[@]}" --engine check:300 -smp 2 --max-instructions 150M
[ -z "${GROUNDHOG_LONG:-}" ] || check 0 "${boot[@]}" --engine check
