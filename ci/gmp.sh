#!/bin/bash
# Builds GMP with its own tests from Debian's source package, made once:
#     ci/gmp.sh [DIRECTORY]
# Puts the test programs, linked with a static library that chooses its assembly
# by CPUID, and the C library that they load into DIRECTORY/bin and lib
# (default: build/gmp).
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/once.sh gmp "$@"

source_package gmp
tool m4 libsigsegv2 # wanted by its configure
# So is the manual's folder, which Debian leaves out.
mkdir "$directory/source/doc"
echo 'all check:' >"$directory/source/doc/Makefile.in"

cd "$directory/source"
build() {
    ./configure --enable-fat --disable-shared --enable-static --disable-cxx \
        CC=gcc CFLAGS=-O2 M4="$directory/tools/m4" &&
        make -j "$(nproc)" && make -j "$(nproc)" check TESTS=
}
logged build

for program in tests/t-* tests/*/t-* tests/mpz/{bit,convert,dive,io,logic,reuse} tests/mpf/reuse; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    folder=$(basename "$(dirname "$program")")
    strip -o "$directory/bin/$folder.$(basename "$program")" "$program"
done
[ "$(ls "$directory/bin" | wc -l)" -ge 150 ] || { echo "gmp.sh: tests are missing" >&2; exit 1; }
libraries "$directory"/bin/*
complete
