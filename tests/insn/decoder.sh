#!/bin/bash
# Compares the decoder with libzydis: 200,000 strings, or 10 million.
program=$BUILD/tests/insn/decoder
[ -x "$program" ] || { echo "libzydis-dev is not installed"; exit 77; }
cases=200000
[ -n "${GROUNDHOG_LONG:-}" ] && cases=10000000
"$program" --cases "${DECODER_CASES:-$cases}" --seed "${DECODER_SEED:-1}"
