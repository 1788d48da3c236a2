#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From nothing to an early-exit network: installs what the build needs, builds build/bin/, trains a
# small MSDNet on the built-in images, sets thresholds and classifies a few images with early exit.
#   ./scripts/quickstart.sh [--fresh] [--jobs N]
# Safe to run again: it keeps the network of the last run; --fresh trains it anew.
set -euo pipefail

epochs=8 # sized so that what follows the build takes at most 4 minutes on 2 cores
run=runs/quickstart

cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

jobs="" fresh=no
while [ $# -gt 0 ]; do
  case $1 in
    --fresh) fresh=yes ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '3,6s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) printf 'quickstart.sh: unknown argument %s; see --help\n' "$1" >&2 && exit 2 ;;
  esac
  shift
done
jobs=${jobs:-$(default_jobs)}
logs=build/logs
mkdir -p "$logs"
steps=8 step=0

# begin NAME / end: one line a step, with its time.
begin() {
  step=$((step + 1))
  started=$SECONDS
  title=$1
  printf '[%d/%d] %s\n' "$step" "$steps" "$title"
}
end() { printf '      done in %d s\n' $((SECONDS - started)); }
# quietly LOG COMMAND...: output goes to the log; its end is shown where the command fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 && return 0
  tail -n 25 "$log" >&2
  fail "step $step ($title) failed; the whole log: $log"
}
# shown LOG COMMAND...: output goes to the log and here.
shown() {
  local log=$1
  shift
  "$@" 2>&1 | tee "$log" | sed 's/^/      /' && return 0
  fail "step $step ($title) failed; the log: $log"
}

detect_distro
begin "Set up: packages"
[ "$supported" = yes ] || say "      $distro is not among the tested systems (README); trying anyway"
require_packages "$logs/packages.log" "${build_packages[@]}"
end

cuda=OFF note="no NVIDIA driver"
if has_nvidia_driver; then
  if [ -n "$(find_nvcc)" ]; then
    cuda=ON note="driver and toolkit found"
  else
    note="driver found, but no toolkit: $cuda_hint"
  fi
fi
begin "Configure: Release, CUDA $cuda ($note)"
quietly "$logs/configure.log" configure build -DCMAKE_BUILD_TYPE=Release -DMSD_CUDA=$cuda \
  -DMSD_BUILD_TESTS=OFF -DMSD_BUILD_BENCH=OFF -DMSD_UNITY_BUILD=ON
end

begin "Build: msd-train, msd-eval and msd-infer in build/bin/, $jobs jobs"
quietly "$logs/build.log" cmake --build build -j "$jobs" --target msd-train msd-eval msd-infer
end

train=(build/bin/msd-train --preset cifar10-quick --dataset synthetic --epochs "$epochs"
  --batch-size 64 --run-dir "$run" --threads 0 --seed 1)
begin "Train: ${train[*]}"
# What the kept network was made with: the command and the program.
recipe="${train[*]} $(cksum <build/bin/msd-train)"
if [ $fresh = no ] && [ -f "$run/checkpoint-best.safetensors" ] &&
  [ "$(cat "$run/quickstart-recipe" 2>/dev/null)" = "$recipe" ]; then
  say "      kept from the last run; --fresh trains again"
else
  rm -f "$run/quickstart-recipe"
  shown "$logs/train.log" "${train[@]}" --overwrite
  printf '%s\n' "$recipe" >"$run/quickstart-recipe"
fi
end

weights=$run/checkpoint-best.safetensors
begin "Set thresholds for each budget: msd-eval --mode budget"
quietly "$logs/budget.log" build/bin/msd-eval --weights "$weights" --mode budget
end

begin "Classify 8 test images, leaving early: msd-infer"
shown "$logs/infer.log" build/bin/msd-infer --weights "$weights" \
  --thresholds "$run/thresholds.json" --p 1 --dataset synthetic --part test --limit 8
end

begin "Exits on the test images: msd-eval --mode anytime"
shown "$logs/anytime.log" build/bin/msd-eval --weights "$weights" --mode anytime
end

begin "Build the rest: msd-convert, for weights of others and ONNX"
quietly "$logs/build-rest.log" cmake --build build -j "$jobs"
end

cat <<END

Everything worked; $SECONDS s in all. Try next:
  build/bin/msd-eval --weights $weights --mode budget
  build/bin/msd-infer --weights $weights --thresholds $run/thresholds.json --budget 6M --dataset synthetic --part test
  build/bin/msd-infer --weights $weights --exit 1 FOLDER_WITH_IMAGES
  build/bin/msd-train --help
END
