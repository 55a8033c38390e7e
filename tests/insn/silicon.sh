#!/bin/bash
# Compares random instructions with the host's CPU: 100,000 interpreted and as many
# translated (once more each among instructions that look at its flags), or 20 million
# by two processes with seeds of their own and two million translated.
#   SILICON_CASES, SILICON_SEED: of each process
set -u
case $(uname -m) in x86_64) ;; *) echo "the host is no x86-64"; exit 77 ;; esac
silicon=$BUILD/tests/insn/silicon
if [ -z "${GROUNDHOG_LONG:-}" ]; then
    "$silicon" --cases "${SILICON_CASES:-100000}" --seed "${SILICON_SEED:-1}" || exit
    "$silicon" --cases "${SILICON_CASES:-100000}" --seed "${SILICON_SEED:-2}" --translated
    status=$?
    [ $status -eq 77 ] && exit 0
    exit $status
fi
cases=${SILICON_CASES:-10000000}
seed=${SILICON_SEED:-1000}
"$silicon" --cases "$cases" --seed $((seed + 1)) --verbose >"$WORK/other" 2>&1 &
"$silicon" --cases "$cases" --seed "$seed" --verbose
first=$?
wait $!
second=$?
cat "$WORK/other"
"$silicon" --cases $((cases / 5)) --seed $((seed + 2)) --translated --verbose
third=$?
[ $first -eq 0 ] && [ $second -eq 0 ] && { [ $third -eq 0 ] || [ $third -eq 77 ]; }
