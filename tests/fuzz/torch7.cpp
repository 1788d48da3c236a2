// SPDX-License-Identifier: MIT
#include <unordered_set>

#include "engine/files/torch7_file.h"
#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::torch7(Bytes bytes) {
  looks_like_torch7(bytes);
  const Torch7File file(bytes);
  // Values may form cycles, and one value may be in many places.
  std::vector<const Torch7Value*> left = {&file.root()};
  std::unordered_set<const Torch7Value*> seen;
  while (!left.empty()) {
    const Torch7Value* value = left.back();
    left.pop_back();
    if (value == nullptr || !seen.insert(value).second) continue;
    value->kind();
    if (const Tensor* tensor = value->tensor()) look_at(*tensor);
    if (const auto* object = value->as<Torch7Value::Object>()) left.push_back(object->state);
    if (const auto* table = value->as<Torch7Value::Table>()) {
      for (const auto& [key, item] : table->items) left.insert(left.end(), {key, item});
    }
  }
}
