#!/bin/sh
# The README's two commands on a bare machine: a new Debian with `make`, a Rust toolchain and nothing else.
#
#   tests/fresh.sh [DIRECTORY] [TARGET…]     as root; `debootstrap` must be there
#
# What is committed is tried, not what lies about. The directory is left as it is, to look into.
set -eu

where=${1:-/var/tmp/tollgate-fresh}
[ $# -gt 0 ] && shift
targets=${*:-demo test}
here=$(cd "$(dirname "$0")/.." && pwd)

[ "$(id -u)" = 0 ] || { echo "fresh: a new root can only be made and entered by root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "fresh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
[ ! -e "$where" ] || { echo "fresh: $where is there already; remove it or name another" >&2; exit 1; }

debootstrap --variant=minbase --include=make,ca-certificates bookworm "$where"
cp /etc/resolv.conf "$where/etc/resolv.conf"
# Behind a proxy with a certificate of its own, the new root must trust what this machine trusts.
cp /etc/ssl/certs/ca-certificates.crt "$where/etc/ssl/certs/ca-certificates.crt"
cp -a "$(rustc --print sysroot)" "$where/opt/rust"
mkdir "$where/tollgate"
git -C "$here" archive HEAD | tar -x -C "$where/tollgate"
mount --bind /dev "$where/dev"
mount -t proc proc "$where/proc"
trap 'umount "$where/proc" "$where/dev"' EXIT

for target in $targets; do
    start=$(date +%s)
    chroot "$where" env -i HOME=/root PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt make -C /tollgate "$target"
    echo "fresh: make $target took $(($(date +%s) - start)) s"
done
