// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/tensor.h"

namespace msd {

/// A Lua value as Torch7 saved it. References are to values of the same Torch7File and may form
/// cycles; what was shared in Torch7 is one value here.
struct Torch7Value {
  struct Nil {};
  struct Table {
    std::vector<std::pair<const Torch7Value*, const Torch7Value*>> items;  // as in the file
  };
  struct Object {  // of a class that is neither tensor nor storage, such as "nn.ReLU"
    std::string_view class_name;
    const Torch7Value* state = nullptr;  // what the class wrote: a table of its fields
  };
  struct Array {  // a tensor
    std::string_view class_name;
    std::shared_ptr<const Tensor> tensor;
  };
  struct Storage {  // the memory of tensors
    std::string_view class_name;
    std::shared_ptr<Buffer> buffer;
  };
  struct Opaque {  // passed over: a Lua function, or a tensor that this project has no use for
    std::string_view what;
  };

  std::variant<Nil, bool, double, std::string, Table, Object, Array, Storage, Opaque> value;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  /// The value of a text key in a table or in an object's fields; nullptr where there is none or
  /// it is nil.
  const Torch7Value* find(std::string_view key) const;
  /// A table's values under 1, 2, ... up to the first that is missing; none of anything else.
  std::vector<const Torch7Value*> sequence() const;
  /// nullptr where this is no tensor.
  const Tensor* tensor() const;
  /// Of an object, a tensor or a storage; "" of anything else.
  std::string_view class_name() const;
  /// "a table", "a torch.FloatTensor", "a Lua function", ...
  std::string kind() const;
};

/// What Torch7's torch.save() wrote in its binary format (little-endian, longs of 8 bytes):
/// one tree of values.
class Torch7File {
 public:
  static constexpr int kDeepest = 1000;
  static constexpr std::size_t kMostValues = 4'000'000;

  /// Nothing of the file is ever run. Tensors are on the host and share their storages as they did
  /// in Torch7; CUDA's are like the others, a CharTensor's elements become u8, and one without
  /// dimensions is empty, of shape {0}. A ShortTensor, and a tensor that repeats elements of its
  /// storage (expand()), are Opaque. What follows the first value is not read, as in Torch7.
  /// Throws FormatError with the byte at which the file is wrong; the caller names the file.
  /// Memory: the storages' bytes once, and what kMostValues allows.
  explicit Torch7File(std::span<const std::byte> bytes);
  Torch7File(Torch7File&&) = default;
  Torch7File& operator=(Torch7File&&) = default;

  const Torch7Value& root() const { return *root_; }

 private:
  friend class Torch7Reader;

  std::deque<Torch7Value> values_;
  std::set<std::string, std::less<>> names_;  // of classes
  const Torch7Value* root_ = nullptr;
};

/// Whether the bytes begin like a binary file of Torch7.
bool looks_like_torch7(std::span<const std::byte> bytes);

}  // namespace msd
