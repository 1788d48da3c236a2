#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All that only a GPU can tell; a table last. Needs nothing from the network.
#   ./scripts/gpu_check.sh [--build DIR] [--packages DIR] [--results DIR] [--cifar DIR]
#                          [--seconds N] [part ...]
#   ./scripts/gpu_check.sh --fetch-packages DIR
# Parts in their order, each with a limit in seconds after which it has failed and the next begins;
# all of them unless named. Without build at most 525 s; made for 16 cores, never timed on a GPU yet:
#   build     540  CUDA, Release, for compute capability 9.0, into build-gpu/
#   tests     100  the GPU's tests with MSD_REQUIRE_GPU=1: one that needs a GPU fails without
#   sanitize  110  compute-sanitizer's memcheck and racecheck over tests of kernels and networks
#   bench     120  whole networks, and the bf16 kernels of nets A and E, against the GPU's roofs
#   compare   110  PyTorch on the same GPU, with what the engine aims at
#   train      55  epochs in bf16 on CIFAR-10 where --cifar gives its binaries, else synthetic images
#   report     30  registers, spills and tensor-core instructions of the kernels; needs no GPU
#   --build DIR     has bin/ of a build made before; the part build is left out
#   --packages DIR  .debs to unpack under build-gpu/, for a machine without Debian's packages;
#                   --fetch-packages downloads them on one that has them
#   --results DIR   for logs, JSON and tables; default build-gpu/results
#   --seconds N     the limit of each part instead of its own; compare wants 540 for the compilers
# Exits with 1 where a part failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

# By name and version where the -dev package only depends on the one that has the files.
debian_packages=(libcli11-dev nlohmann-json3-dev libstb-dev libxxhash-dev libgtest-dev
  libbenchmark-dev libbenchmark1debian libboost1.74-dev libboost-context1.74-dev
  libboost-context1.74.0 libzip-dev libzip4 libprotobuf-dev libprotobuf-lite32 libprotobuf32
  libprotoc32 protobuf-compiler libjpeg62-turbo-dev libjpeg62-turbo libpng-dev libpng16-16
  libwebp-dev libwebp7 libwebpdemux2 zlib1g-dev)
declare -A limits=([build]=540 [tests]=100 [sanitize]=110 [bench]=120 [compare]=110 [train]=55
  [report]=30)
all_parts=(build tests sanitize bench compare train report)

# Where part_* and what they call read them: each part runs in a shell of its own.
export MSD_SOURCE_DIR=$PWD # for tests built at another path
export build=build-gpu results=build-gpu/results packages="" cifar="" jobs limit
prebuilt=no parts=() seconds=""
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=${2:?--build needs a folder} prebuilt=yes && shift ;;
    --packages) packages=${2:?--packages needs a folder} && shift ;;
    --results) results=${2:?--results needs a folder} && shift ;;
    --cifar) cifar=${2:?--cifar needs a folder} && shift ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift ;;
    --fetch-packages)
      mkdir -p "${2:?--fetch-packages needs a folder}" && cd "$2" || exit 1
      apt-get download "${debian_packages[@]}"
      exit ;;
    -h | --help) sed -n '3,23s/^# \{0,1\}//p' "$0" && exit 0 ;;
    build | tests | sanitize | bench | compare | train | report) parts+=("$1") ;;
    *) printf 'gpu_check.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
  esac
  shift
done
if [[ -n $seconds && ! $seconds =~ ^[1-9][0-9]*$ ]]; then
  printf 'gpu_check.sh: --seconds is %s; give a number from 1\n' "$seconds" >&2 && exit 2
fi
if [ ${#parts[@]} -eq 0 ]; then
  parts=("${all_parts[@]}")
  [ $prebuilt = no ] || parts=("${all_parts[@]:1}")
elif [ $prebuilt = yes ] && [[ " ${parts[*]} " == *" build "* ]]; then
  printf 'gpu_check.sh: --build DIR is of a build made before; leave the part build out\n' >&2
  exit 2
fi
mkdir -p "$results" || exit 1
jobs=$(default_jobs)

# Debian's libraries, and those in Python's nvidia wheels (cuBLAS for the matrix roof).
libraries=""
if [ -n "$packages" ]; then
  for deb in "$packages"/*.deb; do dpkg -x "$deb" build-gpu/packages || exit 1; done
  libraries=$PWD/build-gpu/packages/usr/lib/x86_64-linux-gnu
  export CPATH=$PWD/build-gpu/packages/usr/include/x86_64-linux-gnu # jpeglib.h's jconfig.h
fi
if command -v python3 >/dev/null; then
  libraries+=:$(python3 -c "import glob, site, sysconfig
folders = [sysconfig.get_path('purelib'), site.getusersitepackages()]
print(':'.join(path for f in folders for path in sorted(glob.glob(f + '/nvidia/*/lib'))))")
fi
LD_LIBRARY_PATH=$(printf '%s' "$libraries:${LD_LIBRARY_PATH:-}" | sed 's/:\{2,\}/:/g; s/^://; s/:$//')
[ -z "$LD_LIBRARY_PATH" ] || export LD_LIBRARY_PATH

part_build() {
  local prefix=()
  [ -z "$packages" ] || prefix=("-DCMAKE_PREFIX_PATH=$PWD/build-gpu/packages/usr")
  configure "$build" --preset cuda -DMSD_CUDA_ARCHITECTURES=90a-real "${prefix[@]}" \
    >"$results/configure.log" 2>&1 &&
    cmake --build "$build" -j "$jobs" >"$results/build.log" 2>&1 && return 0
  tail -n 40 "$results"/{configure,build}.log
  return 1
}

# By ctest where the folder was made for this tree at this place, else the tests' binaries.
part_tests() {
  local status=0 test
  if grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$build/CMakeCache.txt" 2>/dev/null; then
    MSD_REQUIRE_GPU=1 ctest --test-dir "$build" -R '^Gpu[.]' -j 4 --no-tests=error \
      --output-on-failure >"$results/tests.log" 2>&1 || status=1
    grep -E 'tests passed|\((Failed|Timeout|.*SIG.*)\)' "$results/tests.log" | head -n 40
    return $status
  fi
  for test in kernels_cuda_test models_cuda_test; do
    if ! MSD_REQUIRE_GPU=1 "$build/bin/$test" --gtest_brief=1 >"$results/$test.log" 2>&1; then
      status=1
    fi
    grep -E '^\[  (PASSED|FAILED)' "$results/$test.log" | sed "s/^/   $test: /" | head -n 20
  done
  return $status
}

# Small shapes: the tools slow kernels down a hundred times. All four runs side by side.
part_sanitize() {
  local tool test failed=0 filter pids=() names=()
  declare -A filters=(
    [kernels_cuda_test]='*Empty*:*Groups*:*TensorCores*:DeviceCode*:Sgd*:FiniteCheck*'
    [models_cuda_test]='DeviceTest.AReplayedStep*:DeviceTest.EarlyExit*:DeviceTest.FeedsBring*')
  for tool in memcheck racecheck; do
    for test in "${!filters[@]}"; do
      filter=${filters[$test]}
      MSD_REQUIRE_GPU=1 compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/bin/$test" \
        --gtest_filter="$filter" >"$results/$tool-$test.log" 2>&1 &
      pids+=($!) names+=("$tool-$test")
    done
  done
  for test in "${!pids[@]}"; do
    local log=$results/${names[$test]}.log
    if wait "${pids[$test]}" && grep -qE '^\[  PASSED  \] [1-9]' "$log"; then
      say "   ${names[$test]}: clean"
    else
      say "   ${names[$test]}: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|FAILED' "$log" | tail -n 1)"
      failed=1
    fi
  done
  return $failed
}

# bench_into NAME FILTER OPTION...: NAME.json, NAME.md, NAME.svg; skipped ones are failures.
bench_into() {
  local out=$results/$1 filter=$2
  shift 2
  "$build/bin/msd-bench" --benchmark_filter="$filter" --benchmark_out="$out.json" \
    --benchmark_out_format=json "$@" >"$out.log" 2>&1 || return 1
  python3 bench/render_bench.py "$out.json" --markdown "$out.md" --svg "$out.svg"
}

part_bench() {
  local status=0
  bench_into networks '^cuda/(train_step|evaluate|exit1)/' || status=1
  cat "$results/networks.md"
  bench_into kernels '^cuda/[^/]+/[AE]/.*/bf16/.*sets:0' --benchmark_min_time=0.01 || status=1
  say "   kernels: $results/kernels.md"
  return $status
}

part_compare() {
  python3 bench/compare_pytorch_gpu.py --bench "$build/bin/msd-bench" --seconds $((limit - 10)) \
    --json "$results/compare.json" 2>"$results/compare.log" | tee "$results/compare.md"
  local status=${PIPESTATUS[0]}
  [ "$status" -eq 0 ] || tail -n 5 "$results/compare.log"
  return "$status"
}

part_train() {
  local data=(--dataset synthetic --synthetic-train 20000) preset=cifar10-anytime10 status=0
  [ -z "$cifar" ] || data=(--dataset cifar10 --data "$cifar")
  "$build/bin/msd-train" --device cuda --precision bf16 --preset "$preset" "${data[@]}" --epochs 3 \
    --overwrite --run-dir "$results/train" >"$results/train.log" 2>&1 || status=1
  tail -n 1 "$results/train.log"
  return $status
}

part_report() {
  python3 bench/kernel_report.py "$build/bin/msd-bench" --types bf16,tf32,fp32 \
    >"$results/report.md"
  local status=$?
  cat "$results/report.md"
  return $status
}

table="" failed=no
for part in "${parts[@]}"; do
  say "== $part"
  started=$SECONDS limit=${seconds:-${limits[$part]}}
  # shellcheck disable=SC2163
  export -f "part_$part" bench_into configure say
  timeout -k 5 "$limit" "$BASH" -c "set -uo pipefail; part_$part"
  case $? in
    0) result=passed ;;
    124 | 137) result="TIMED OUT" failed=yes ;;
    *) result=FAILED failed=yes ;;
  esac
  table+=$(printf '%-9s %-9s %7d %6d' "$part" "$result" $((SECONDS - started)) \
    "$limit")$'\n'
done
printf '\n%-9s %-9s %7s %6s\n%s' part result seconds limit "$table"
[ $failed = no ]
