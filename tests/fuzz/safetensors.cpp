// SPDX-License-Identifier: MIT
#include "engine/files/safetensors.h"

#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::safetensors(Bytes file) {
  const auto bytes =
      std::make_shared<const FileBytes>(std::vector<std::byte>(file.begin(), file.end()));
  for (const auto& [name, tensor] : parse_safetensors(bytes).tensors) look_at(tensor);
}
