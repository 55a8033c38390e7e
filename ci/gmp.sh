#!/bin/bash
# Builds GMP with its own tests from Debian's source package, made once:
#     ci/gmp.sh [DIRECTORY]
# Puts the test programs, linked with a static library that chooses its assembly
# by CPUID, and the C library that they load into DIRECTORY/bin and lib
# (default: build/gmp).
set -euo pipefail
cd "$(dirname "$0")/.."
directory=$(realpath -m "${1:-build/gmp}")
mkdir -p "$directory"
exec 8>"$directory/.lock"
flock 8
[ ! "$directory/.complete" -nt ci/gmp.sh ] || exit 0
rm -rf "$directory"/{bin,lib,apt,download,source,.complete}
mkdir -p "$directory"/{bin,lib,download,source,apt/lists/partial,apt/cache/archives/partial}

# Source packages have an index of their own, which this alone looks at.
. /etc/os-release
echo "deb-src ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $VERSION_CODENAME main" \
    >"$directory/apt/sources.list"
apt=(apt-get -q -o "Dir::Etc::SourceList=$directory/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$directory/apt/lists" -o "Dir::Cache=$directory/apt/cache"
    -o APT::Sandbox::User=root)
"${apt[@]}" update >&2
(cd "$directory/download" && "${apt[@]}" source --download-only gmp >&2)
tar -xf "$directory"/download/gmp_*.orig.tar.* -C "$directory/source" --strip-components=1
rm -rf "$directory/apt"

# Its configure wants m4, which is unpacked, not installed.
m4=$(ci/fetch.sh m4)/usr/bin/m4
sigsegv=$(find "$(ci/fetch.sh libsigsegv2)" -name 'libsigsegv.so.2')
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "${sigsegv%/*}" "$m4" >"$directory/m4"
chmod 755 "$directory/m4"

cd "$directory/source"
build() {
    ./configure --enable-fat --disable-shared --enable-static --disable-cxx \
        CC=gcc CFLAGS=-O2 M4="$directory/m4" &&
        make -j "$(nproc)" && make -j "$(nproc)" check TESTS=
}
build >"$directory/log" 2>&1 || { tail -n 30 "$directory/log" >&2; exit 1; }

for program in tests/t-* tests/*/t-* tests/mpz/{bit,convert,dive,io,logic,reuse} tests/mpf/reuse; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    folder=$(basename "$(dirname "$program")")
    strip -o "$directory/bin/$folder.$(basename "$program")" "$program"
done
[ "$(ls "$directory/bin" | wc -l)" -ge 150 ] || { echo "gmp.sh: tests are missing" >&2; exit 1; }
ldd "$directory"/bin/* | sed -n 's|.* => \(/[^ ]*\) .*|\1|p; s|^\s*\(/[^ ]*ld-linux[^ ]*\) .*|\1|p' |
    sort -u | while read -r file; do cp -L "$file" "$directory/lib/"; done
rm -rf "$directory"/{source,download}
touch "$directory/.complete"
