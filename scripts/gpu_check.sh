#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All that only a GPU can tell, in build-gpu/; a short table last.
#   ./scripts/gpu_check.sh [--packages DIR] [--results DIR] [part ...]
#   ./scripts/gpu_check.sh --fetch-packages DIR
# Parts in their order; all of them unless named:
#   build     CUDA, Release, for this machine's kind of GPU (compute capability 9.0)
#   tests     every test with MSD_REQUIRE_GPU=1: one that needs a GPU fails without
#   sanitize  compute-sanitizer's four tools over the kernels' tests
#   bench     every CUDA kernel against the memory's roof, into DIR/kernels.json
# For a machine without Debian's packages: --fetch-packages downloads the .debs on one that has
# them, --packages unpacks them under build-gpu/. Exits with 1 where a part failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

# By name and version where the -dev package only depends on the one that has the files.
debian_packages=(libcli11-dev nlohmann-json3-dev libstb-dev libxxhash-dev libgtest-dev
  libbenchmark-dev libbenchmark1debian libboost1.74-dev libboost-context1.74-dev
  libboost-context1.74.0)
packages="" results=build-gpu/results parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --packages) packages=${2:?--packages needs a folder} && shift ;;
    --results) results=${2:?--results needs a folder} && shift ;;
    --fetch-packages)
      mkdir -p "${2:?--fetch-packages needs a folder}" && cd "$2" || exit 1
      apt-get download "${debian_packages[@]}"
      exit ;;
    -h | --help) sed -n '3,13s/^# \{0,1\}//p' "$0" && exit 0 ;;
    build | tests | sanitize | bench) parts+=("$1") ;;
    *) printf 'gpu_check.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=(build tests sanitize bench)
mkdir -p "$results"
[ -z "$packages" ] || export LD_LIBRARY_PATH=$PWD/build-gpu/packages/usr/lib/x86_64-linux-gnu
jobs=$(default_jobs)

part_build() {
  local prefix=()
  if [ -n "$packages" ]; then
    for deb in "$packages"/*.deb; do dpkg -x "$deb" build-gpu/packages || return 1; done
    prefix=("-DCMAKE_PREFIX_PATH=$PWD/build-gpu/packages/usr")
  fi
  configure build-gpu --preset cuda -DMSD_CUDA_ARCHITECTURES=90a-real "${prefix[@]}" \
    >"$results/configure.log" 2>&1 &&
    cmake --build build-gpu -j "$jobs" >"$results/build.log" 2>&1 && return 0
  tail -n 40 "$results"/{configure,build}.log
  return 1
}

part_tests() {
  MSD_REQUIRE_GPU=1 ctest --test-dir build-gpu -j 4 --output-on-failure >"$results/tests.log" 2>&1
  local status=$?
  grep -E 'tests passed|\(Failed\)' "$results/tests.log" | head -n 40
  return $status
}

# Networks' shapes only: the tools slow kernels down a hundred times.
part_sanitize() {
  local tool failed=0
  for tool in memcheck racecheck initcheck synccheck; do
    if compute-sanitizer --tool "$tool" --error-exitcode 9 build-gpu/bin/kernels_cuda_test \
      --gtest_filter='*NetworksShapes*:*Empty*:*Groups*:*TensorCores*:DeviceCode*:Sgd*:FiniteCheck*' \
      >"$results/$tool.log" 2>&1; then
      say "   $tool: clean"
    else
      say "   $tool: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|FAILED' "$results/$tool.log" | tail -n 1)"
      failed=1
    fi
  done
  return $failed
}

part_bench() {
  build-gpu/bin/msd-bench --benchmark_filter='^cuda/' --benchmark_repetitions=10 \
    --benchmark_report_aggregates_only=true --benchmark_out="$results/kernels.json" \
    --benchmark_out_format=json >"$results/kernels.log" 2>&1 || return 1
  grep -q '^cuda/' "$results/kernels.log" || return 1
  grep '_median' "$results/kernels.log"
}

table="" failed=no
for part in "${parts[@]}"; do
  say "== $part"
  started=$SECONDS
  if "part_$part"; then result=passed; else result=FAILED failed=yes; fi
  table+=$(printf '%-9s %-7s %6d' "$part" "$result" $((SECONDS - started)))$'\n'
done
printf '\n%-9s %-7s %6s\n%s' part result seconds "$table"
[ $failed = no ]
