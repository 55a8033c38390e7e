# For the scripts of ci/ that build something from source, once:
#     . ci/once.sh NAME [DIRECTORY]
# Sets `directory` (default: build/NAME) and empties it, or ends the script if
# what is there is complete and newer than the script.
directory=$(realpath -m "${2:-build/$1}")
mkdir -p "$directory"
exec 8>"$directory/.lock" # tests run side by side
flock 8
[ ! "$directory/.complete" -nt "ci/${0##*/}" ] || exit 0
find "$directory" -mindepth 1 ! -name .lock -delete
mkdir -p "$directory"/{bin,lib,source,tools}

# source_package NAME: unpacks the original source of Debian's NAME into
# $directory/source and leaves the rest in $directory/download. Source packages
# have an index of their own, which this alone looks at.
source_package() {
    local lists=$directory/apt VERSION_CODENAME apt
    VERSION_CODENAME=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mkdir -p "$lists"/{lists,cache/archives}/partial "$directory/download"
    echo "deb-src ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $VERSION_CODENAME main" \
        >"$lists/sources.list"
    apt=(apt-get -q -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache"
        -o APT::Sandbox::User=root)
    "${apt[@]}" update >&2
    (cd "$directory/download" && "${apt[@]}" source --download-only "$1" >&2)
    tar -xf "$directory/download/$1"_*.orig.tar.* -C "$directory/source" --strip-components=1
    rm -rf "$lists"
}

# tool NAME PACKAGE...: unpacks Debian's program NAME and the libraries of the
# PACKAGEs, without installing, to be called as $directory/tools/NAME.
tool() {
    local name=$1 program found
    program=$(ci/fetch.sh "$name")/usr/bin/$name
    shift
    found=$(ci/fetch.sh "$@" | xargs -I {} find {} -name '*.so.*' -printf '%h\n' | sort -u)
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "${found//$'\n'/:}" "$program" \
        >"$directory/tools/$name"
    chmod 755 "$directory/tools/$name"
}

# libraries PROGRAM...: puts the loader and the libraries of programs into $directory/lib.
libraries() {
    ldd "$@" | sed -n 's|.* => \(/[^ ]*\) .*|\1|p; s|^\s*\(/[^ ]*ld-linux[^ ]*\) .*|\1|p' |
        sort -u | while read -r file; do cp -L "$file" "$directory/lib/"; done
}

# logged COMMAND...: shows what it said only if it fails.
logged() {
    "$@" >"$directory/log" 2>&1 || { tail -n 30 "$directory/log" >&2; exit 1; }
}

complete() {
    rm -rf "$directory"/{source,download}
    touch "$directory/.complete"
}
