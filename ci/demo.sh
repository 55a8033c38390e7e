#!/bin/bash
# Records the boot of Debian's kernel to /init and its power-off, replays the
# recording, and shows what it took. Works on a fresh Debian machine.
# CPUS=N (default 1) gives the machine more CPUs.
set -euo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
trace=$BUILD/demo/boot.ghog
cpus=${CPUS:-1}

ci/setup.sh build test
make -j"$(nproc)" BUILD="$BUILD" >/dev/null
ci/kernel.sh linux-image-amd64 "$BUILD/demo"

echo "== record: Debian's kernel boots, $cpus CPU, 512 MiB =="
set +e
"$BUILD/groundhog" record -o "$trace" -m 512 -smp "$cpus" -no-reboot \
    -kernel "$BUILD/demo/vmlinuz" -initrd "$BUILD/demo/initrd.cpio" \
    -append "console=ttyS0 panic=-1" \
    </dev/null 2>"$BUILD/demo/record.txt" | tee "$BUILD/demo/record.console"
status=${PIPESTATUS[0]}
set -e
[ "$status" -eq 0 ] || { cat "$BUILD/demo/record.txt"; exit "$status"; }

echo "== replay =="
"$BUILD/groundhog" replay "$trace" >"$BUILD/demo/replay.console" 2>"$BUILD/demo/replay.txt" ||
    { status=$?; cat "$BUILD/demo/replay.txt"; exit $status; }
cmp "$BUILD/demo/record.console" "$BUILD/demo/replay.console"
echo "console output equal: $(wc -c <"$BUILD/demo/replay.console") bytes"
echo
printf '%-8s %15s %12s %10s %8s %11s\n' "" instructions "virtual time" "host time" MIPS memory
sed -nE 's/^groundhog: (record|replay): [^;]*; ([0-9,]+) instructions, ([0-9.]+) s virtual, ([0-9.]+) s host, ([0-9.]+) MIPS, ([0-9]+) MiB$/\1 \2 \3 \4 \5 \6/p' \
    "$BUILD/demo/record.txt" "$BUILD/demo/replay.txt" |
    while read -r what instructions virtual host mips memory; do
        printf '%-8s %15s %10s s %8s s %8s %7s MiB\n' "$what" "$instructions" "$virtual" "$host" "$mips" "$memory"
    done
echo
sed -n '/^groundhog: trace/,$p' "$BUILD/demo/record.txt" | sed 's/^groundhog: //'
sed -n 's/^groundhog: \(digests equal.*\)/\n\1/p' "$BUILD/demo/replay.txt"
