#!/bin/bash
# Rules that the compiler does not check: ci/lint.sh
# The deterministic core is free of the host; includes point one way.
set -u
shopt -s lastpipe # complain counts in this shell
cd "$(dirname "$0")/.." || exit 1
failures=0

# complain TITLE: prints what stands on stdin, if anything, and counts it.
complain() {
    local found
    found=$(cat)
    [ -z "$found" ] && return
    echo "lint: $1"
    echo "$found" | head -n 20 | sed 's/^/    /'
    failures=$((failures + 1))
}

# Source without comments and string literals, as FILE:LINE:TEXT.
stripped() {
    find "$@" \( -name '*.[ch]' -o -name '*.def' \) 2>/dev/null | sort | while read -r file; do
        gcc -fpreprocessed -dD -E -P -x c "$file" 2>/dev/null |
            sed 's/"[^"]*"/""/g' | awk -v f="$file" '{ print f ": " $0 }'
    done
}

core=$(stripped src/cpu src/translator src/machine)
echo "$core" | grep -E '\b(time|clock_gettime|gettimeofday|clock|localtime|gmtime|usleep|nanosleep|sleep) *\(' |
    grep -vE 'struct clock' | complain "host time in the deterministic core"
echo "$core" | grep -E '\b(rand|srand|random|srandom|drand48|getrandom|getentropy|arc4random)[a-z_]* *\(' |
    grep -vE '\b[a-z0-9_]+(->|\.)random *\(' | complain "host randomness in the deterministic core"
echo "$core" | grep -E '\b(pthread_|thrd_|fork *\(|_Thread_local|atomic_)' |
    complain "threads in the deterministic core"
echo "$core" | grep -E '\b(getenv|getpid|open|fopen|socket|printf|fprintf|puts) *\(' |
    complain "the host system in the deterministic core"
stripped src/machine | grep -E '\b(float|double)\b' | complain "floating point in devices"
grep -rnE '^#include <(time|sys/[a-z]+|unistd|pthread|threads|fcntl|poll|signal)\.h>' \
    src/cpu src/machine src/util 2>/dev/null | grep -vE 'sys/mman\.h|signal\.h>.*lint: allowed' |
    complain "system headers in the deterministic core"
# Mutable file-scope data: only what util/assert.c and src/host explain.
find src/{cpu,translator,machine,replay,debug,cli} -name '*.c' 2>/dev/null | while read -r file; do
    gcc -fpreprocessed -dD -E -P "$file" 2>/dev/null |
        grep -E '^static [^(]*(;|=)' | grep -vE '^static (inline|const|_Noreturn)|\bconst\b' |
        sed "s|^|$file: |"
done | complain "mutable globals"

# Layers, lowest first; a folder may include itself and what stands before it.
# util < cpu < translator < machine < replay < debug < cli; host: util only,
# used by cli alone (and by the door's implementation in replay and debug).
declare -A may=(
    [util]="util" [cpu]="util cpu" [translator]="util cpu translator"
    [machine]="util cpu translator machine"
    [replay]="util cpu translator machine replay host"
    [debug]="util cpu translator machine replay debug host"
    [host]="util host" [cli]="util cpu machine replay debug host cli"
)
for layer in "${!may[@]}"; do
    [ -d "src/$layer" ] || continue
    grep -rnoE '^#include "[a-z]+/' "src/$layer" | while IFS=: read -r file line include; do
        target=$(echo "$include" | sed 's/.*"\([a-z]*\)\/.*/\1/')
        case " ${may[$layer]} " in *" $target "*) ;; *) echo "$file:$line includes $target/" ;; esac
    done
done | complain "includes that point the wrong way"

# Sizes.
find src -name '*.c' -exec awk 'END { if (NR > 800) print FILENAME ": " NR " lines" }' {} \; |
    complain "source files over 800 lines"
find src -name '*.h' -exec awk 'END { if (NR > 320) print FILENAME ": " NR " lines" }' {} \; |
    complain "headers over 320 lines"
find src bios -name '*.[chS]' -exec awk '{ sub(/ *\\$/, "") }
    length > 120 && !/define H_/ { print FILENAME ":" FNR }' {} + | complain "lines over 120 columns"
grep -rnP '\t' src tests --include='*.[ch]' | cut -c 1-100 | complain "tabs"
grep -rnP ' +$' src tests ci --include='*.[ch]' --include='*.sh' | complain "spaces at line ends"

for compiler in gcc clang; do
    command -v $compiler >/dev/null || { echo "lint: no $compiler here"; continue; }
    find src -name '*.c' | sort | xargs -P "$(nproc)" -n 8 $compiler -std=c11 -D_GNU_SOURCE -O2 \
        -Wall -Wextra -Isrc -fsyntax-only 2>&1 | grep -E 'warning|error' | complain "$compiler warns"
done

if command -v cppcheck >/dev/null; then
    mkdir -p build/cppcheck
    cppcheck -q -j "$(nproc)" --cppcheck-build-dir=build/cppcheck --std=c11 -Isrc -D_GNU_SOURCE \
        --enable=warning,portability --inline-suppr --suppress=missingIncludeSystem \
        --suppress=preprocessorErrorDirective \
        --suppress=ctuuninitvar --suppress=ctunullpointer --suppress=comparePointers \
        --suppress=shiftTooManyBitsSigned \
        --suppress=memleak:src/machine/dev/fw_cfg.c --template='{file}:{line}: {id}: {message}' src 2>&1 |
        complain "cppcheck"
else
    echo "lint: no cppcheck here"
fi

[ $failures -eq 0 ] && echo "lint: clean" || echo "lint: $failures rules broken"
exit $((failures > 0))
