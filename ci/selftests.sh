#!/bin/bash
# Builds the kernel's self tests for x86 from Debian's linux-source, made once:
#     ci/selftests.sh [DIRECTORY]
# Puts the programs (NAME_64, NAME_32) into DIRECTORY/bin and what they load
# into DIRECTORY/lib and lib32 (default: build/selftests). The kernel's own
# Makefile says which there are and how each is built. For the 32-bit ones the
# C library's packages are unpacked, not installed; without them they are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/once.sh selftests "$@"
mkdir "$directory/lib32"

# linux-source depends on linux-source-VERSION.
files=$(ci/fetch.sh linux-source)
tar -xf "$files"/usr/src/linux-source-*.tar.xz -C "$directory/source" --strip-components=1 \
    --wildcards '*/tools/testing/selftests/x86/*' '*/tools/testing/selftests/*.h' \
    '*/tools/testing/selftests/lib.mk' '*/tools/include/*' '*/tools/scripts/*' \
    '*/arch/x86/include/asm/desc_defs.h' '*/scripts/subarch.include'

libraries /bin/true

# A compiler that finds the 32-bit libraries where they were unpacked: libc.so
# is a script of absolute paths, so it gets one of its own.
options32=()
if library=$(ci/fetch.sh libc6-i386) && headers=$(ci/fetch.sh libc6-dev-i386) &&
    compiler=$(ci/fetch.sh "lib32gcc-$(gcc -dumpversion)-dev"); then
    objects=$(dirname "$(find "$compiler" -name libgcc.a)")
    libc=$(find "$library" -name libc.so.6)
    for name in ld-linux.so.2 libc.so.6 libm.so.6; do
        cp -L "${libc%/*}/$name" "$directory/lib32/"
    done
    echo "GROUP ( $libc $headers/usr/lib32/libc_nonshared.a AS_NEEDED ( ${libc%/*}/ld-linux.so.2 ) )" \
        >"$directory/lib32/libc.so"
    echo "INPUT ( ${libc%/*}/libm.so.6 )" >"$directory/lib32/libm.so"
    options32=(-idirafter /usr/include/x86_64-linux-gnu
        -idirafter "$headers/usr/include/x86_64-linux-gnu" "-B$objects"
        "-B$headers/usr/lib32" "-L$directory/lib32" "-L$objects" "-L$headers/usr/lib32"
        -static-libgcc
        -Wl,--dynamic-linker=/lib32/ld-linux.so.2 -Wl,-rpath,/lib32)
fi
cat >"$directory/tools/cc" <<END
#!/bin/bash
for option; do
    [ "\$option" != -m32 ] || exec gcc "\$@" ${options32[*]}
done
exec gcc "\$@" -Wl,--dynamic-linker=/lib/$(basename "$(ls "$directory"/lib/ld-linux*)") -Wl,-rpath,/lib
END
chmod 755 "$directory/tools/cc"

logged make -s -k -C "$directory/source/tools/testing/selftests/x86" ARCH=x86 \
    CC="$directory/tools/cc" OUTPUT="$directory/bin" all
rm -f "$directory"/lib32/lib{c,m}.so
complete
