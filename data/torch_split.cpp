// SPDX-License-Identifier: MIT
#include "data/torch_split.h"

#include <algorithm>
#include <vector>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::int64_t kCifarImages = 50'000, kCifarHoldout = 5'000;
constexpr std::int64_t kImagenetImages = 1'000'000, kImagenetHoldout = 50'000;

std::int64_t usual_holdout(std::int64_t size) {
  if (size == kCifarImages) return kCifarHoldout;
  if (size > kImagenetImages) return kImagenetHoldout;
  throw ConfigError(message("is a permutation of ", size,
                            " images and does not say how many of its last ones are held out; "
                            "give --holdout N"));
}

}  // namespace

Split torch_split(const PickleValue& root, const Dataset& data, std::int64_t holdout) {
  const auto* tensor = root.as<Tensor>();
  if (tensor == nullptr) {
    throw FormatError(message("holds ", root.kind(), ", not a permutation of the training images"));
  }
  if (tensor->dim() != 1 || (tensor->dtype() != DType::i64 && tensor->dtype() != DType::i32)) {
    throw FormatError(message("holds a tensor of ", tensor->dim(), " dimensions and type ",
                              name(tensor->dtype()), ", not a permutation of integers"));
  }
  const std::int64_t size = data.train.size();
  if (tensor->elems() != size) {
    throw ConfigError(message("is a permutation of ", tensor->elems(), " images, but ", data.name,
                              " has ", size, " training images"));
  }
  const Tensor permutation = tensor->contiguous();
  std::vector<bool> seen(static_cast<std::size_t>(size), false);
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto index =
        static_cast<std::int64_t>(load_element(permutation.data(), permutation.dtype(), i));
    if (index < 0 || index >= size || seen[static_cast<std::size_t>(index)]) {
      throw FormatError(message("is no permutation of 0 to ", size - 1, ": entry ", i, " is ",
                                index, index < 0 || index >= size ? "" : " again"));
    }
    seen[static_cast<std::size_t>(index)] = true;
    order.push_back(index);
  }
  if (holdout < 0) holdout = usual_holdout(size);
  if (holdout >= size) {
    throw ConfigError(
        message("--holdout ", holdout, " of ", size, " training images; use 0 to ", size - 1));
  }
  const auto first_held = order.end() - static_cast<std::ptrdiff_t>(holdout);
  Split split = {{order.begin(), first_held}, {first_held, order.end()}};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.holdout.begin(), split.holdout.end());
  return split;
}

}  // namespace msd
