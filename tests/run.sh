#!/bin/bash
# Runs test programs and scripts: tests/run.sh TEST...
#
# Each test gets the repository as its directory, and in its environment
#   GROUNDHOG  the program under test        BUILD  its build directory
#   WORK       an empty directory of its own, kept when the test fails
# It passes by exiting with 0; 77 says that it cannot run here (skipped).
# A cmocka program counts each of its cases. The last line is
# "N passed, N failed".
# JOBS tests run at a time; TIMEOUT seconds are given to each.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=$(realpath -m "${BUILD:-build}")
export BUILD GROUNDHOG="$BUILD/groundhog"
export results="$BUILD/check"

run_one() {
    local test=$1 name log status passed failed started
    name=$(echo "${test#"$BUILD"/}" | sed 's|^[^/]*build[^/]*/||; s|^\./||; s|/|-|g')
    export WORK="$results/$name"
    log="$results/$name.log"
    rm -rf "$WORK"
    mkdir -p "$WORK"
    started=$(date +%s.%N)
    timeout --kill-after=10 "${TIMEOUT:-900}" "$(realpath "$test")" >"$log" 2>&1 </dev/null
    status=$?
    elapsed=$(echo "$(date +%s.%N) $started" | awk '{ printf "%.1f", $1 - $2 }')
    passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ s += $1 } END { print s + 0 }')
    failed=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ s += $1 } END { print s + 0 }')
    if [ $status -eq 77 ]; then
        echo "0 0" >"$results/$name.count"
        echo "skip  $name: $(tail -n 1 "$log")"
    elif [ $status -eq 0 ]; then
        [ "$passed" -gt 0 ] || passed=1
        echo "$passed 0" >"$results/$name.count"
        echo "ok    $name ($passed, $elapsed s)"
        rm -rf "$WORK"
    else
        [ "$failed" -gt 0 ] || failed=1
        echo "$passed $failed" >"$results/$name.count"
        echo "FAIL  $name (status $status, $elapsed s); the end of $log:"
        tail -n 25 "$log" | sed 's/^/      /'
        echo "      files: $WORK"
        echo "      again: mkdir -p $WORK && WORK=$WORK BUILD=$BUILD GROUNDHOG=$GROUNDHOG $test"
    fi
}

if [ "${1:-}" = --one ]; then
    run_one "$2"
    exit 0
fi

rm -rf "$results"
mkdir -p "$results"
[ $# -eq 0 ] || printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$0" --one
cat "$results"/*.count 2>/dev/null | awk -v expected=$# '
    { passed += $1; failed += $2 }
    END {
        if (NR < expected) failed += expected - NR
        printf "%d passed, %d failed\n", passed, failed
        exit failed > 0 || passed == 0
    }'
