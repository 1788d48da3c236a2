# SPDX-License-Identifier: MIT
# Shared by quickstart.sh, test.sh and gpu_check.sh, which source it from the root of the tree.
# shellcheck shell=bash disable=SC2034

# What the build needs. "package:command": the command on PATH is as good as the package.
build_packages=(g++:g++ cmake:cmake ninja-build:ninja libcli11-dev nlohmann-json3-dev libstb-dev
  libjpeg-dev libpng-dev libwebp-dev libxxhash-dev libzip-dev libprotobuf-dev
  protobuf-compiler:protoc)
# What the tests need on top of that.
test_packages=(libgtest-dev libbenchmark-dev libboost-context-dev)

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Sets distro to "debian 12" or the like, supported to yes or no.
detect_distro() {
  distro=unknown supported=no
  # shellcheck source=/dev/null
  [ -r /etc/os-release ] && distro=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
  case $distro in
    "debian 12" | "debian 13" | "ubuntu 22.04" | "ubuntu 24.04") supported=yes ;;
  esac
}

# The packages that hold the pinned clang-format and clang-tidy. Debian 13 has no version 14.
check_packages() {
  [ "$distro" = "debian 13" ] || echo clang-format-14:clang-format-14 clang-tidy-14:clang-tidy-14
}

# The packages that hold a clang with libFuzzer.
fuzz_packages() {
  case $distro in
    "debian 12") echo clang-14:clang++-14 libclang-rt-14-dev ;;
    "debian 13") echo clang-19:clang++-19 libclang-rt-19-dev ;;
    "ubuntu 22.04") echo clang-14:clang++-14 ;;
    "ubuntu 24.04") echo clang-18:clang++-18 libclang-rt-18-dev ;;
  esac
}

# missing_packages PACKAGE...: those that are neither installed nor stood in for by their command.
missing_packages() {
  local entry installed candidates=()
  for entry in "$@"; do
    case $entry in
      *:*) command -v "${entry#*:}" >/dev/null || candidates+=("${entry%%:*}") ;;
      *) candidates+=("$entry") ;;
    esac
  done
  [ ${#candidates[@]} -gt 0 ] || return 0
  # dpkg-query fails where it never heard of one of them, but tells of the others.
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${candidates[@]}" 2>/dev/null) || true
  for entry in "${candidates[@]}"; do
    grep -qxF "$entry installed" <<<"$installed" || echo "$entry"
  done
}

# apt_install LOG PACKAGE...: returns non-zero where it cannot; says nothing.
apt_install() {
  local log=$1 as_root=()
  shift
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || return 1
    # Asks for a password only where somebody can type one.
    { [ -t 0 ] && [ -t 2 ]; } || sudo -n true 2>/dev/null || return 1
    as_root=(sudo)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
  "${apt[@]}" update >>"$log" 2>&1 || true # without network the lists at hand may do
  "${apt[@]}" install -y --no-install-recommends "$@" >>"$log" 2>&1
}

# require_packages LOG PACKAGE...: installs what is missing, or stops and says what to type.
require_packages() {
  local log=$1 missing
  shift
  if ! command -v dpkg-query >/dev/null; then
    say "    no dpkg here: make sure that these are installed: ${*%%:*}"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "    installing: ${missing[*]}"
  apt_install "$log" "${missing[@]}" && return 0
  fail "cannot install packages here (log: $log). As root, run:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
}

# want_packages LOG PACKAGE...: the same, but goes on without them.
want_packages() {
  local log=$1 missing
  shift
  command -v dpkg-query >/dev/null || return 0
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "    installing: ${missing[*]}"
  apt_install "$log" "${missing[@]}" || say "    not installed: ${missing[*]} (log: $log)"
}

# Compile jobs: one a core, and not more than one for each 1.5 GB of free memory.
default_jobs() {
  local cores by_memory
  cores=$(nproc)
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)
  [ "${by_memory:-$cores}" -lt "$cores" ] && cores=$by_memory
  [ "$cores" -ge 1 ] || cores=1
  echo "$cores"
}

# configure FOLDER OPTION...: cmake -S . -B FOLDER; a folder keeps the generator it began with.
configure() {
  local folder=$1 generator=()
  shift
  if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
    generator=(-G Ninja)
  fi
  cmake -S . -B "$folder" "${generator[@]}" "$@"
}

# Prints the nvcc that the build would use, or nothing.
find_nvcc() { cmake -P cmake/MsdFindNvcc.cmake 2>&1; }

# Whether a driver for NVIDIA's GPUs is loaded.
has_nvidia_driver() {
  [ -r /proc/driver/nvidia/version ] || { command -v nvidia-smi && nvidia-smi -L; } >/dev/null 2>&1
}

# How to get a CUDA toolkit, in one line.
cuda_hint="install the toolkit (https://developer.nvidia.com/cuda-downloads) or, for compiling \
only, pip install nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-cccl"
