#!/bin/bash
# Debian's openssl, zstd, xz, sqlite3 and bc over real data in the guest: every
# result is the host's, from the same files. stress-ng verifies itself. With
# SSE4.2 and with all that the CPU model has, with one and two CPUs. One recording
# is replayed whole, the beginning of another by the interpreter.
. tests/common.sh
need_kernel

programs=(openssl zstd xz-utils sqlite3 bc stress-ng)
libraries=(libc6 libgcc-s1 libstdc++6 zlib1g libzstd1 liblzma5 liblz4-1 libssl3 libsqlite3-0
    libreadline8 libtinfo6 libapparmor1 libbsd0 libmd0 libcrypt1 libegl1 libgles2 libglvnd0 libgbm1
    libdrm2 libwayland-server0 libexpat1 libffi8 libipsec-mb1 libjpeg62-turbo libjudydebian1
    libkmod2 libsctp1 libxxhash0)
packages=$(ci/fetch.sh busybox-static "${programs[@]}" "${libraries[@]}") || fail "no packages"
kernel_files=$(ci/fetch.sh linux-image-cloud-amd64)
user=$WORK/user
mkdir -p "$user"/{bin,lib,data} "$WORK/bin" "$WORK/tmp"

# needs FILE: copies the libraries that it needs, and what they need.
needs() {
    local name from
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
        [ -e "$user/lib/$name" ] && continue
        from=$(find $packages -name "$name" | head -n 1)
        [ -n "$from" ] || fail "$1 needs $name"
        cp -L "$from" "$user/lib/$name"
        needs "$from" || exit 1
    done
}
collect() {
    local name file
    for name in openssl zstd xz sqlite3 bc stress-ng; do
        file=$(find $packages -path "*/usr/bin/$name")
        cp "$file" "$user/bin/$name"
        needs "$file" || exit 1
    done
    cp "$(find $packages -path "*/bin/busybox")" "$WORK/bin/busybox"
    "$WORK/bin/busybox" --install -s "$WORK/bin"
    [ -e "$user/lib/ld-linux-x86-64.so.2" ] || fail "no dynamic linker"
}

# The data: text and machine code of the kernel's package, keys and what they signed.
make_data() {
    local data=$user/data name
    openssl() {
        host_run "$user/lib/ld-linux-x86-64.so.2" --library-path "$user/lib" \
            "$user/bin/openssl" "$@"
    }
    zcat "$kernel_files"/usr/share/doc/linux-image-*/changelog.gz | head -c 450000 |
        sed '$d' | tr -d '\001' >"$data/text"
    find "$kernel_files" -name nf_tables.ko -exec cp {} "$data/module" \;
    cat "$data/text" "$data/module" "$kernel_files"/boot/config-* >"$data/big"
    tail -c +300001 "$data/big" | head -c 250000 >"$data/half"
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$data/rsa.key"
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$data/ec.key"
    for name in ed25519 x25519; do openssl genpkey -algorithm $name -out "$data/$name.key"; done
    for name in rsa ec ed25519 x25519; do
        openssl pkey -in "$data/$name.key" -pubout -out "$data/$name.pub"
    done
    for name in rsa ec; do
        openssl dgst -sha256 -sign "$data/$name.key" -out "$data/$name.sig" "$data/big"
    done
    openssl cms -encrypt -binary -aes-256-gcm -in "$data/half" -outform DER \
        -secretkey 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
        -secretkeyid 00 -out "$data/sealed.cms"
}
host_run() { env -i PATH="$WORK/bin" OPENSSL_CONF=/dev/null "$@"; }

# AES-NI and PCLMULQDQ, SHA, AVX2 with BMI and ADX, all but SSE2 left out.
capability_sets=": ~0x200000200000000: :~0x20000000 :~0xa0128 ~0x1210020200000200:~0x200a0128"

# The guest's part of the C library computes without FMA unless all have it.
tunables=
fma() {
    tunables=
    { [ "$1" != x86-64-v2 ] && grep -qw fma /proc/cpuinfo && grep -qw avx2 /proc/cpuinfo; } ||
        tunables=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4
}
sets() { [ "$1" = x86-64-v2 ] || echo "$capability_sets"; }
on_host() { # MODEL
    fma "$1"
    host_run GLIBC_TUNABLES=$tunables user="$user" tmp="$WORK/tmp" stress=0 parts="${PARTS:-}" \
        capability_sets="$(sets "$1")" "$WORK/bin/busybox" sh tests/replay/userland \
        >"$WORK/host.$1" 2>&1
    ! grep -E 'not found|applet|unrecognized|Usage|rror:|differ' "$WORK/host.$1" &&
        [ -n "${PARTS:-}" ] || [ "$(wc -l <"$WORK/host.$1")" -ge 120 ] || fail "the host's results"
}
make_initramfs() { # MODEL
    local files=() file
    fma "$1"
    echo "export GLIBC_TUNABLES=$tunables OPENSSL_CONF=/dev/null
        user=/user tmp=/tmp stress=1 parts='${PARTS:-}' capability_sets='$(sets "$1")'
        echo USERLAND-BEGIN; . /userland 2>&1; echo USERLAND-END" >"$WORK/run.$1"
    for file in "$user"/*/*; do files+=("user/${file#"$user"/}=$file"); done
    ci/initramfs.sh "$WORK/$1.cpio" "userland=tests/replay/userland" "run=$WORK/run.$1" \
        "${files[@]}"
}
guest() { # MODEL CPUS
    local trace=$WORK/$1-$2.ghog
    boot_options
    expect 0 "$GROUNDHOG" record -o "$trace" --log inputs -smp "$2" -cpu "$1" "${boot[@]}" \
        -m 1024 -initrd "$WORK/$1.cpio" -append "$append quiet run=/run" </dev/null
    mv "$WORK/out" "$WORK/guest.$1-$2"
    tail -n 1 "$WORK/err"
    tr -d '\r' <"$WORK/guest.$1-$2" | sed '1,/^USERLAND-BEGIN/d; /^USERLAND-END/,$d' \
        >"$WORK/results.$1-$2"
    diff "$WORK/host.$1" "$WORK/results.$1-$2" || fail "-cpu $1 -smp $2 differs from the host"
}

collect
make_data
# Five-level paging is not translated.
for model in x86-64-v2 max,-la57; do
    on_host $model
    make_initramfs $model
    for cpus in ${CPUS:-1 2}; do guest $model $cpus; done
done
expect 0 "$GROUNDHOG" replay "$WORK/x86-64-v2-2.ghog"
has "$WORK/err" "digests equal"
expect 124 "$GROUNDHOG" replay --engine interp --max-instructions 5G \
    "$WORK/max,-la57-1.ghog"
has "$WORK/err" "digests equal"
