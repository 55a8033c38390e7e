#!/bin/bash
# Builds those of glibc's own tests that exercise the CPU from Debian's source
# package, made once:
#     ci/glibc.sh [DIRECTORY]
# Puts the programs (FOLDER.NAME) into DIRECTORY/bin and the libraries that they
# load into DIRECTORY/lib (default: build/glibc). The library under test is the
# installed one, of the same version: its files stand where the build would have
# put its own, so that only the tests are compiled.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/once.sh glibc "$@"

source_package glibc
cd "$directory/source"
# The stable branch's fixes, tests among them, are a patch of Debian's.
tar -xOf "$directory"/download/glibc_*.debian.tar.* debian/patches/git-updates.diff | patch -p1 -s
cd - >/dev/null
tool m4 libsigsegv2
tool gawk libsigsegv2 libmpfr6 libreadline8
tool bison libsigsegv2
PATH=$directory/tools:$PATH
export M4=$directory/tools/m4 BISON_PKGDATADIR
BISON_PKGDATADIR=$(ci/fetch.sh bison)/usr/share/bison

objects=$directory/obj
mkdir "$objects"
cd "$objects"

# installed DIRECTORY FILE...: what the library's own build would have made.
installed() {
    local file
    mkdir -p "$1"
    for file in "${@:2}"; do cp -L "$(gcc -print-file-name="$file")" "$1/$file"; done
}
configure() {
    ../source/configure --prefix=/usr --disable-werror --disable-nscd --disable-crypt \
        --without-selinux CFLAGS="-O2 -g0" || return
    installed . libc.so.6 libc_nonshared.a
    installed csu crt1.o Scrt1.o crti.o crtn.o
    installed math libm.so.6
    installed mathvec libmvec.so.1
    installed elf ld-linux-x86-64.so.2
    ln -s libc.so.6 libc.so
    ln -s libm.so.6 math/libm.so
    ln -s libmvec.so.1 mathvec/libmvec.so
    ln -s ld-linux-x86-64.so.2 elf/ld.so
    : >csu/start.o
}
logged configure

old=()
for file in libc.so libc.so.6 libc_nonshared.a elf/ld.so math/libm.so mathvec/libmvec.so; do
    old+=(-o "$objects/$file")
done

# in_folder FOLDER OPTION-OR-TARGET...: runs make there.
in_folder() {
    make -rk -j "$(nproc)" "${old[@]}" -C "../source/$1" subdir="$1" objdir="$objects" ..=../ \
        object-suffixes=.os object-suffixes-for-libc='.os .oS' "${@:2}"
}
# programs FOLDER: the names of its tests, but for those of types that are other
# names of the same, of vectors that no model has, of tgmath.h's choices, and of
# hundreds of processes.
programs() {
    # shellcheck disable=SC2016
    in_folder "$1" -s --eval='programs: ; @echo PROGRAMS \
        $(filter-out $(tests-unsupported) $(tests-static),$(tests) $(tests-internal))' programs |
        sed -n 's/^PROGRAMS //p' | tr ' ' '\n' |
        grep -vE '^test-(float(32|64|32x|64x)|.*-float(64|128|64x|32x)|tgmath3)-' |
        grep -vE '^test-(float-vlen16|double-vlen8)-|^tst-arc4random-fork$'
}
compile() {
    local folder names name
    in_folder support "$objects/support/libsupport_nonshared.a" || return
    for folder in string wcsmbs math setjmp stdlib stdio-common ctype signal; do
        names=$(programs $folder)
        # A few do not build without the rest of the library.
        # shellcheck disable=SC2046
        in_folder $folder $(printf "$objects/$folder/%s\n" $names) || true
        for name in $names; do
            [ ! -x $folder/$name ] || strip -o "$directory/bin/$folder.$name" $folder/$name
        done
    done
}
logged compile
[ "$(ls "$directory/bin" | wc -l)" -ge 1300 ] || { echo "glibc.sh: tests are missing" >&2; exit 1; }
# What they load, the loader, and what loads when a thread is cancelled.
for name in $(readelf -d "$directory"/bin/* | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u) \
    ld-linux-x86-64.so.2 libgcc_s.so.1; do
    file=$(gcc -print-file-name="$name")
    [ ! -e "$file" ] || cp -Lf "$file" "$directory/lib/"
done
rm -rf "$objects"
complete
