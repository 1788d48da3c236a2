#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tests, in build folders of their own (build-cpu, build-cpu-asan, ...).
#   ./scripts/test.sh [--all] [--full] [--fuzz] [--jobs N] [part ...]
# Without parts: cpu. --all, which continuous integration runs: all parts, in their order:
#   format  clang-format 14 over all sources
#   cpu     Release build, all tests
#   asan    address and undefined-behaviour sanitizers, all tests
#   tsan    thread sanitizer, the tests that use threads (--full: all tests)
#   fuzz    the readers of files under libFuzzer, 5 seconds each (--fuzz: a minute each)
#   tidy    clang-tidy 14 over the CPU code (--full: over the tests too)
#   cuda    CUDA build, where a toolkit is found; its kernel tests skip without a GPU
# Exits with 1 where a part failed. A part that cannot run here is "skipped", never "passed".
# Warnings are errors where the compiler is the one that is kept clean first, g++ 12.
set -uo pipefail

# The tests that matter for threads: the pool, the loader and the ops, which share work, and the
# emulated GPU. Only their binaries are built.
tsan_targets='kernels_test kernels_emulated_test emulation_test data_test'
tsan_tests='^Emulated.*(/0[.]|Bf16|DeviceCode)|Race|Fault|ThreadPool|Loader|Synthetic|ConvForward|ConvBackward|Batchnorm|LinearBackward|Sgd'
# The same calls over many more shapes: for values, which the other parts compare.
tsan_repeats='^Emulated[.]Conv.*(BatchInvariant|OverChannels|OnTheNetworksShapes)'
cuda_architecture=90a-real

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

all_parts=(format cpu asan tsan fuzz tidy cuda)
parts=() all=no full=no fuzz_seconds=5 jobs=""
while [ $# -gt 0 ]; do
  case $1 in
    --all) all=yes ;;
    --full) full=yes ;;
    --fuzz) fuzz_seconds=60 ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '3,15s/^# \{0,1\}//p' "$0" && exit 0 ;;
    format | cpu | asan | tsan | fuzz | tidy | cuda) parts+=("$1") ;;
    *) printf 'test.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
  esac
  shift
done
[ $all = no ] || parts=("${all_parts[@]}")
[ ${#parts[@]} -gt 0 ] || parts=(cpu)
jobs=${jobs:-$(default_jobs)}

detect_distro
say "== set-up ($distro, $jobs jobs)"
mkdir -p build-cpu
packages_log=build-cpu/packages.log
require_packages "$packages_log" "${build_packages[@]}" "${test_packages[@]}"
wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }
# shellcheck disable=SC2046
! { wants format || wants tidy; } || want_packages "$packages_log" $(check_packages)
# shellcheck disable=SC2046
! wants fuzz || want_packages "$packages_log" $(fuzz_packages)
werror=OFF
[[ "$("${CXX:-g++}" --version 2>/dev/null | head -n 1)" != g++*" 12."* ]] || werror=ON

# Our own sources; whatever lies in folders git ignores is not ours.
sources() {
  find apps bench data engine kernels models tests -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu' -o -name '*.inc' \) | sort
}

# Prints the name of a clang tool of version 14, or nothing.
clang_tool() {
  local name
  for name in "$1-14" "$1"; do
    if command -v "$name" >/dev/null && "$name" --version | grep -q 'version 14\.'; then
      echo "$name"
      return
    fi
  done
}

# quietly LOG COMMAND...: shows the log's end where the command fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 && return 0
  tail -n 60 "$log"
  say "   failed: $* (the whole log: $log)"
  return 1
}

# build_and_test PRESET TARGETS CTEST-OPTION...
build_and_test() {
  local preset=$1 targets=$2 folder=build-$1
  shift 2
  mkdir -p "$folder"
  quietly "$folder/configure.log" configure "$folder" --preset "$preset" \
    -DMSD_WERROR=$werror -DMSD_UNITY_BUILD=ON || return 1
  # shellcheck disable=SC2086
  quietly "$folder/build.log" cmake --build "$folder" -j "$jobs" --target $targets || return 1
  quietly "$folder/test.log" ctest --test-dir "$folder" -j "$jobs" --output-on-failure \
    --no-tests=error "$@" || return 1
  grep -E '^[0-9]+% tests passed' "$folder/test.log" | sed 's/^/   /'
  # What did not run, a line a suite; ctest's list at the end has each test once.
  sed -nE 's/^[[:space:]]+[0-9]+ - ([^ ]*)\.[^.]* .*\((Skipped|Not Run|Disabled)\)$/\1/p' \
    "$folder/test.log" | sort | uniq -c | sed 's/^ */   skipped: /'
}

# Each part returns 0 for passed, 1 for failed, 77 for skipped with the reason in $reason.
part_format() {
  local tool
  tool=$(clang_tool clang-format)
  if [ -z "$tool" ]; then
    reason="no clang-format 14 (pip install clang-format==14.0.6)"
    return 77
  fi
  sources | xargs "$tool" --dry-run --Werror
}

part_cpu() { build_and_test cpu all; }

part_asan() { build_and_test cpu-asan all; }

part_tsan() {
  local select=("$tsan_targets" -R "$tsan_tests" -E "$tsan_repeats")
  [ $full = no ] || select=(all)
  # The sanitizer's shadow memory has a fixed place, which some kernels' address randomisation hits.
  local fixed=()
  setarch "$(uname -m)" -R true 2>/dev/null && fixed=(setarch "$(uname -m)" -R)
  export -f build_and_test quietly configure say
  export jobs werror
  "${fixed[@]}" bash -c 'build_and_test cpu-tsan "$@"' tsan "${select[@]}"
}

# Prints a clang++ that has libFuzzer, or nothing.
find_fuzzing_compiler() {
  local name
  for name in clang++-14 clang++-{12,13,15,16,17,18,19,20} clang++; do
    command -v "$name" >/dev/null || continue
    echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }' |
      "$name" -x c++ -fsanitize=fuzzer,address,undefined -o build-fuzz/probe - 2>/dev/null || continue
    echo "$name"
    return
  done
}

# fuzz_one TARGET SECONDS: from the files in tests/fuzz/corpus and what earlier runs added to them.
# An allocation that a file of 4 KB cannot justify counts as a crash.
fuzz_one() {
  local target=$1 log=build-fuzz/$1.log seeds=("tests/fuzz/corpus/$1") more=(-max_len=4096 -malloc_limit_mb=64)
  # Images may have 32768 pixels a byte, a progressive JPEG's take 6 bytes each.
  case $target in
    image | jpeg | png | webp)
      more=(-max_len=1024 -malloc_limit_mb=256)
      seeds+=(tests/data/pictures)
      ;;
  esac
  # A record of CIFAR is 3073 bytes.
  [ "$target" != cifar ] || more=(-max_len=7000 -malloc_limit_mb=64)
  # The same inputs each time in a short run, for whoever asks why it failed.
  [ "$2" -ge 60 ] || more+=(-seed=1)
  mkdir -p "build-fuzz/corpus/$target" build-fuzz/findings
  if UBSAN_OPTIONS=print_stacktrace=1 "build-fuzz/bin/fuzz_$target" -max_total_time="$2" \
    -timeout=10 -rss_limit_mb=2048 "${more[@]}" -print_final_stats=1 \
    -artifact_prefix="build-fuzz/findings/$target-" \
    "build-fuzz/corpus/$target" "${seeds[@]}" >"$log" 2>&1; then
    say "   $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
    return
  fi
  tail -n 40 "$log"
  say "   failed: $target (the whole log: $log; CONTRIBUTING.md says what to do with a finding)"
  return 1
}

part_fuzz() {
  mkdir -p build-fuzz
  local compiler
  compiler=$(find_fuzzing_compiler)
  if [ -z "$compiler" ]; then
    reason="no clang++ with libFuzzer (Debian 12: apt-get install clang-14 libclang-rt-14-dev)"
    return 77
  fi
  quietly build-fuzz/configure.log configure build-fuzz --preset fuzz \
    -DCMAKE_CXX_COMPILER="$compiler" || return 1
  quietly build-fuzz/build.log cmake --build build-fuzz -j "$jobs" --target fuzzers || return 1
  export -f fuzz_one say
  # shellcheck disable=SC2016
  find tests/fuzz/corpus -mindepth 1 -type d -printf '%f\n' | sort |
    xargs -P "$jobs" -I{} bash -c 'fuzz_one "$@"' fuzz {} "$fuzz_seconds"
}

# Runs on all sources of ours that build-cpu compiles, as it does: many at a time, so that their
# headers are read once. What passed is remembered by a checksum of all that it depends on of ours.
part_tidy() {
  local tool
  tool=$(clang_tool clang-tidy)
  if [ -z "$tool" ]; then
    reason="no clang-tidy 14 (Debian 12, Ubuntu: apt-get install clang-tidy-14)"
    return 77
  fi
  mkdir -p build-cpu/tidy/passed
  quietly build-cpu/configure.log configure build-cpu --preset cpu -DMSD_UNITY_BUILD=ON || return 1
  # Of what is compiled, this is made by the build.
  quietly build-cpu/build-tidy.log cmake --build build-cpu -j "$jobs" --target msd_onnx_proto ||
    return 1
  local folders='apps|bench|data|engine|kernels|models'
  [ $full = no ] || folders+='|tests'
  cmake -DIN=build-cpu/compile_commands.json -DOUT=build-cpu/tidy -DROOT="$PWD" \
    -DFOLDERS="$folders" -P scripts/lib/tidy_commands.cmake || return 1
  local shared files key todo=()
  shared=$({ "$tool" --version && cat .clang-tidy build-cpu/tidy/compile_commands.json &&
    sources | grep -E '\.(h|inc)$' | xargs cat; } | sha256sum)
  while read -r files; do # what is compiled, and what that is made of
    # shellcheck disable=SC2086
    key=$({ echo "$shared $files" && cat $files; } | sha256sum | cut -c1-40)
    [ -f "build-cpu/tidy/passed/$key" ] || todo+=("${files%% *} $key")
  done <build-cpu/tidy/files.txt
  say "   ${#todo[@]} of $(wc -l <build-cpu/tidy/files.txt) to check, the others are unchanged since they passed"
  [ ${#todo[@]} -gt 0 ] || return 0
  # shellcheck disable=SC2016
  printf '%s\n' "${todo[@]}" | xargs -P "$jobs" -L 1 bash -c '
    if output=$("$0" --quiet -p build-cpu/tidy --checks=-bugprone-suspicious-include "$1" 2>&1); then
      touch "build-cpu/tidy/passed/$2"
    else
      printf "%s\n" "$output" | grep -v "warnings generated"
      exit 1
    fi' "$tool"
}

part_cuda() {
  local nvcc
  nvcc=$(find_nvcc)
  if [ -z "$nvcc" ]; then
    reason="no CUDA toolkit: $cuda_hint"
    return 77
  fi
  say "   $nvcc, $cuda_architecture"
  mkdir -p build-cuda
  quietly build-cuda/configure.log configure build-cuda --preset cuda \
    -DMSD_CUDA_ARCHITECTURES=$cuda_architecture -DMSD_UNITY_BUILD=ON \
    -DMSD_BUILD_TESTS=ON -DMSD_BUILD_BENCH=ON || return 1
  # Without a GPU this proves that all of it compiles and links.
  quietly build-cuda/build.log cmake --build build-cuda -j "$jobs" \
    --target msd-train msd-eval msd-infer msd-bench kernels_cuda_test models_cuda_test || return 1
  local binary
  for binary in kernels_cuda_test models_cuda_test; do
    "build-cuda/bin/$binary" >build-cuda/test.log 2>&1 ||
      { tail -n 60 build-cuda/test.log && return 1; }
    grep -E '^\[  (PASSED|SKIPPED) .*[0-9]+ tests?' build-cuda/test.log | sed "s/^/   $binary: /"
  done
}

table="" failed=no
for part in "${parts[@]}"; do
  say "== $part"
  started=$SECONDS reason=""
  "part_$part"
  case $? in
    0) result=passed ;;
    77) result=skipped && say "   skipped: $reason" ;;
    *) result=FAILED failed=yes ;;
  esac
  table+=$(printf '%-8s %-8s %7d  %s' "$part" "$result" $((SECONDS - started)) "$reason")$'\n'
done

printf '\n%-8s %-8s %7s\n%s' part result seconds "$table"
printf '%-8s %-8s %7d\n' all "$([ $failed = yes ] && echo FAILED || echo "-")" "$SECONDS"
[ $failed = no ]
