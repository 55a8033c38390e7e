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
cat "$BUILD/demo/record.txt" "$BUILD/demo/replay.txt"
