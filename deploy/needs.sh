#!/bin/sh
# Brings what a target of the Makefile needs and the machine lacks. What is there is used as it is.
#
#   deploy/needs.sh rust cc libclang openssl java maven python
#
# System packages come from Debian's (or Ubuntu's) archive. Where that cannot be, the message says what to
# install by hand, and the exit code is 1.
set -eu

RUST=1.91
JAVA=17
missing=
packages=

need() { # what is missing, and the packages that hold it
    missing="$missing $1"
    packages="$packages $2"
}

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    # As bindgen looks for it. `libclang-cpp.so` is another library.
    for library in /usr/lib/llvm-*/lib/libclang[.-][s0-9]* /usr/lib/*/libclang[.-][s0-9]* /usr/lib64/libclang[.-][s0-9]* /usr/lib/libclang[.-][s0-9]*; do
        [ -e "$library" ] && return 0
    done
    return 1
}

# Rust comes from its own installer: what Debian packages is too old.
rust() {
    if ! command -v cargo >/dev/null; then
        echo "needs: Rust $RUST or newer is missing. Install it from https://rustup.rs and run this again." >&2
        exit 1
    fi
    found=$(rustc --version | cut -d' ' -f2 | cut -d- -f1)
    if [ "$(printf '%s\n%s.0\n' "$found" "$RUST" | sort -V | head -n 1)" != "$RUST.0" ]; then
        echo "needs: Rust $found is too old, $RUST or newer is needed: rustup update" >&2
        exit 1
    fi
}

# A JDK: Kafka's brokers run on it, and its Java clients are compiled with it.
has_java() {
    { command -v java && command -v javac; } >/dev/null || return 1
    found=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
    [ "${found:-0}" -ge $JAVA ]
}

# The default of later releases is new enough, and they have no Java 17.
jdk() {
    # shellcheck disable=SC1091 # Another file on every system.
    case $(. /etc/os-release && echo "$ID $VERSION_ID") in
        "debian 11" | "debian 12" | "ubuntu 20."* | "ubuntu 22."*) echo openjdk-17-jdk-headless ;;
        *) echo default-jdk-headless ;;
    esac
}

for what in "$@"; do
    case $what in
        rust) rust ;;
        cc) { command -v cc && command -v c++; } >/dev/null || need "a C and C++ compiler" "gcc g++ libc6-dev" ;;
        # RocksDB's bindings are made while it is built.
        libclang) has_libclang || need libclang libclang-dev ;;
        # For TLS to the brokers and to the registry; the command makes certificates for tests.
        openssl)
            { command -v openssl && pkg-config --exists openssl; } >/dev/null 2>&1 ||
                need "OpenSSL with its headers" "openssl libssl-dev pkg-config"
            ;;
        java) has_java || need "a JDK of Java $JAVA or newer" "$(jdk)" ;;
        maven) command -v mvn >/dev/null || need Maven maven ;;
        python) python3 -c 'import ensurepip, venv' 2>/dev/null || need "Python 3 with venv" "python3 python3-venv" ;;
        *) echo "needs: \`$what\` is nothing this script knows" >&2; exit 1 ;;
    esac
done

[ -z "$packages" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "needs:$missing missing, and there is no apt-get. Install what your system calls:$packages" >&2
    exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "needs:$missing missing. As root: apt-get install$packages" >&2
        exit 1
    fi
    root=sudo
fi
echo "needs:$missing missing, installing:$packages"
# shellcheck disable=SC2086 # The lists are words on purpose.
$root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $packages" || {
    echo "needs: apt-get failed (see above). Install by hand:$packages" >&2
    exit 1
}
