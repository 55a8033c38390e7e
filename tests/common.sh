# For test scripts: . tests/common.sh. Runs in the repository's directory.
# Without the runner's environment a test can be started by hand.
set -u
BUILD=${BUILD:-$PWD/build}
GROUNDHOG=${GROUNDHOG:-$BUILD/groundhog}
WORK=${WORK:-$(mktemp -d /tmp/groundhog-test.XXXXXX)}
mkdir -p "$WORK"
append="console=ttyS0 panic=-1"

fail() {
    echo "FAILED: $*"
    echo "files: $WORK"
    exit 1
}

# need_kernel [linux-image-cloud-amd64]: sets `kernel` and `initrd`.
need_kernel() {
    local package=${1:-linux-image-cloud-amd64}
    local directory=$PWD/build/kernels/$package
    ci/kernel.sh "$package" "$directory" || fail "no kernel package"
    kernel=$directory/vmlinuz
    initrd=$directory/initrd.cpio
}

# need_hello: sets `hello`, a firmware of our own that prints on the first
# serial port, echoes what it reads there up to a "q", and ends with status 33.
need_hello() {
    hello=$WORK/hello.bin
    as --32 -o "$WORK/hello.o" tests/cli/hello.S &&
        ld -m elf_i386 -Ttext 0 -e 0 --oformat binary -o "$hello" "$WORK/hello.o" ||
        fail "cannot assemble"
    hello_options=(-m 1 -bios "$hello" -device isa-debug-exit,iobase=0x501,iosize=1)
}

# expect STATUS COMMAND...: runs it, standard output to $WORK/out and standard
# error to $WORK/err, and fails unless it exits with STATUS.
expect() {
    local wanted=$1 status
    shift
    "$@" >"$WORK/out" 2>"$WORK/err"
    status=$?
    [ $status -eq "$wanted" ] && return
    echo "command: $*"
    tail -n 20 "$WORK/out" "$WORK/err"
    fail "exit status $status, not $wanted"
}

# has FILE TEXT: the file holds the text.
has() {
    grep -qF -- "$2" "$1" || { tail -n 20 "$1"; fail "no \"$2\" in $1"; }
}

# boot_options: a Linux boot to /init and power-off, to follow record or run.
boot_options() {
    boot=(-m 512 -no-reboot -kernel "$kernel" -initrd "$initrd" -append "$append")
}

# record_and_replay NAME OPTIONS...: records to $WORK/NAME.ghog with the output
# in NAME.out, checks status 0, replays, and compares the output.
record_and_replay() {
    local name=$1
    shift
    expect 0 "$GROUNDHOG" record -o "$WORK/$name.ghog" "$@" </dev/null
    mv "$WORK/out" "$WORK/$name.out"
    mv "$WORK/err" "$WORK/$name.err"
    expect 0 "$GROUNDHOG" trace verify "$WORK/$name.ghog"
    expect 0 "$GROUNDHOG" replay "$WORK/$name.ghog"
    cmp "$WORK/out" "$WORK/$name.out" || fail "the replay's console output differs"
    has "$WORK/err" "digests equal"
}

# add_libraries DIRECTORY: what is in it goes into `files`, for ci/initramfs.sh, to where
# programs look for their loader and libraries.
add_libraries() {
    local file directory
    for file in "$1"/*; do
        directory=lib
        case $file in */ld-linux*) directory=lib64 ;; esac
        files+=("$directory/${file##*/}=$file")
    done
}
