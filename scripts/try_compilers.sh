#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds everything with other compilers, warnings being errors, and says which are clean.
#   ./scripts/try_compilers.sh [--jobs N] [COMPILER ...]
# COMPILER: g++-11, clang++-19, ...; default: all versions on PATH that the project is kept clean
# with. GCC finds some things while it optimises, so its builds are of Release; clang's are not
# optimised. Nothing is run. In another Debian's compilers:
#   ./scripts/try_debian.sh trixie build-trixie 'apt-get install -y g++-13 clang-19 && ...'
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

jobs="" compilers=()
while [ $# -gt 0 ]; do
  case $1 in
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "$0" && exit 0 ;;
    -*) printf 'try_compilers.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
    *) compilers+=("$1") ;;
  esac
  shift
done
jobs=${jobs:-$(default_jobs)}
if [ ${#compilers[@]} -eq 0 ]; then
  for compiler in g++-{11..14} clang++-{14..19}; do
    ! command -v "$compiler" >/dev/null || compilers+=("$compiler")
  done
fi
[ ${#compilers[@]} -gt 0 ] || fail "no g++-11 to -14 and no clang++-14 to -19 on PATH"

failed=no
for compiler in "${compilers[@]}"; do
  folder=build-${compiler//+/x} flags=()
  [[ $compiler != clang* ]] || flags=(-DCMAKE_CXX_FLAGS_RELEASE=-O0)
  mkdir -p "$folder"
  if configure "$folder" --preset cpu -DCMAKE_CXX_COMPILER="$compiler" -DMSD_WERROR=ON \
    -DMSD_UNITY_BUILD=ON "${flags[@]}" >"$folder/configure.log" 2>&1 &&
    cmake --build "$folder" -j "$jobs" -- -k 0 >"$folder/build.log" 2>&1; then
    say "$compiler: clean"
  else
    failed=yes
    say "$compiler: not clean, see $folder/*.log"
    grep -hE '(warning|error):' "$folder"/*.log | sort | uniq -c | sort -rn | head -n 20
  fi
done
[ $failed = no ]
