#!/bin/bash
# Compares the x87's transcendental functions with MPFR: 20,000 arguments of each
# and rounding mode, or a million.
program=$BUILD/tests/insn/transcendental
[ -x "$program" ] || { echo "libmpfr-dev is not installed"; exit 77; }
cases=20000
[ -n "${GROUNDHOG_LONG:-}" ] && cases=1000000
"$program" --cases "${TRANSCENDENTAL_CASES:-$cases}" --seed "${TRANSCENDENTAL_SEED:-1}"
