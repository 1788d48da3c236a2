#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs README's two commands on another Debian, as its newcomer would, in a chroot of its own.
#   sudo ./scripts/try_debian.sh [SUITE [FOLDER [COMMAND]]]
# SUITE: trixie (Debian 13, the default), bookworm (12), ...; FOLDER: where the system goes, 4 GB
# (default: build-SUITE); one that is there is used again. COMMAND: what to run in a fresh copy of
# the tree, instead of "./scripts/quickstart.sh && ./scripts/test.sh".
# Needs root and debootstrap. The exit code is the command's.
set -euo pipefail

cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

case ${1:-} in
  -h | --help) sed -n '3,8s/^# \{0,1\}//p' "$0" && exit 0 ;;
  -*) printf 'try_debian.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
esac
suite=${1:-trixie}
system=${2:-build-$suite}
command=${3:-./scripts/quickstart.sh && ./scripts/test.sh}
[ "$(id -u)" -eq 0 ] || fail "needs root, as chroot does: sudo $0 $*"
command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"

if [ ! -x "$system/usr/bin/apt-get" ]; then
  say "== $suite into $system"
  mkdir -p "$system"
  debootstrap --variant=minbase "$suite" "$system" http://deb.debian.org/debian \
    >"$system/debootstrap.log" 2>&1 || fail "debootstrap failed; its log: $system/debootstrap.log"
fi

say "== the tree into $system/msd"
rm -rf "$system/msd"
mkdir -p "$system/msd"
# What git would commit: tracked files and new ones, as they are now.
git ls-files -z --cached --others --exclude-standard --deduplicate |
  while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar --null --files-from=- -c | tar -x -C "$system/msd"

cp /etc/resolv.conf "$system/etc/resolv.conf"

say "== $command"
# The mounts are of a namespace of their own and end with it.
exec unshare --mount --pid --fork bash -c '
  mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
    exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      chroot "$1" bash -c "cd /msd && $2"' try_debian "$system" "$command"
