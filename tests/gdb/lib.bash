# For the debugger's tests: . tests/gdb/lib.bash
. tests/common.sh
command -v gdb >/dev/null || { echo "no gdb"; exit 77; }

# Builds guest.S: a ROM and an ELF file with its symbols.
need_guest() {
    rom=$WORK/guest.rom
    elf=$WORK/guest.elf
    as --64 -g -o "$WORK/guest.o" tests/gdb/guest.S &&
        ld -m elf_x86_64 -T tests/gdb/guest.ld -e 0 -o "$elf" "$WORK/guest.o" &&
        objcopy -O binary -j .text -j .reset "$elf" "$rom" || fail "the guest does not build"
}

# record_guest CPUS: sets `trace`.
record_guest() {
    trace=$WORK/guest.$1.ghog
    expect 33 "$GROUNDHOG" record -o "$trace" -m 16 -smp "$1" -bios "$rom" \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio
}

# serve TRACE: a replay that waits for gdb at the socket $WORK/socket.
serve() {
    served=$1
    socket=$WORK/socket
    rm -f "$socket"
    "$GROUNDHOG" replay "$1" --gdb "unix:$socket" >"$WORK/server.out" 2>"$WORK/server.err" &
    server=$!
    trap 'kill $server 2>/dev/null' EXIT
    for _ in $(seq 200); do
        [ -S "$socket" ] && return
        sleep 0.05
    done
    cat "$WORK/server.err"
    fail "the replay does not listen"
}

# stop_server STATUS: it must be ending, or end when asked to.
stop_server() {
    local status
    kill "$server" 2>/dev/null
    wait "$server"
    status=$?
    trap - EXIT
    [ $status -eq "$1" ] && return
    cat "$WORK/server.err"
    fail "the replay ended with status $status, not $1"
}

# debug SCRIPT [WORDS]: gdb attaches and runs the Python script, which sees WORDS as
# `arguments` and says PASSED at its end.
debug() {
    local script=$1
    shift
    local command=(gdb -nx -batch -iex "set pagination off" -iex "set confirm off"
        -iex "set architecture auto" -ex "python socket = '$socket'"
        -ex "python arguments = '$*'.split()" -ex "source tests/gdb/helpers.py"
        -ex "source $script" "$elf")
    timeout "${GDB_TIMEOUT:-300}" "${command[@]}" >"$WORK/gdb.out" 2>&1 </dev/null
    grep -q '^PASSED' "$WORK/gdb.out" && return
    tail -n 40 "$WORK/gdb.out"
    echo "again: $GROUNDHOG replay $served --gdb unix:$socket &"
    printf '  '
    printf ' %q' "${command[@]}"
    echo
    fail "$script $*"
}
