#!/bin/bash
# Compares 20,000 random instructions with the host's CPU.
set -u
case $(uname -m) in x86_64) ;; *) echo "the host is no x86-64"; exit 77 ;; esac
"$BUILD/tests/insn/silicon" --cases "${SILICON_CASES:-20000}" --seed "${SILICON_SEED:-1}"
