// SPDX-License-Identifier: MIT
// libFuzzer's way in, built once for each target: MSD_FUZZ_TARGET is its name.
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  msd::fuzz::run(&msd::fuzz::MSD_FUZZ_TARGET, std::as_bytes(std::span(data, size)));
  return 0;
}
