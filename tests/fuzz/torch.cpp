// SPDX-License-Identifier: MIT
#include <unordered_set>

#include "engine/files/file_kind.h"
#include "engine/files/torch_file.h"
#include "tests/fuzz/look.h"
#include "tests/fuzz/targets.h"

void msd::fuzz::torch(Bytes bytes) {
  looks_like_torch(bytes);
  static_cast<void>(foreign_kind(bytes));
  const TorchFile file(bytes);
  // Values may form cycles, and one value may be in many places.
  std::vector<const PickleValue*> left = {&file.root()};
  std::unordered_set<const PickleValue*> seen;
  while (!left.empty()) {
    const PickleValue* value = left.back();
    left.pop_back();
    if (!seen.insert(value).second) continue;
    if (const auto* tensor = value->as<Tensor>()) look_at(*tensor);
    if (const auto* list = value->as<PickleValue::List>()) {
      left.insert(left.end(), list->items.begin(), list->items.end());
    }
    if (const auto* dict = value->as<PickleValue::Dict>()) {
      for (const auto& [key, item] : dict->items) left.insert(left.end(), {key, item});
    }
  }
}
