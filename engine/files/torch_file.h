// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/file.h"
#include "engine/files/pickle.h"
#include "engine/tensor.h"

namespace msd {

/// What torch.save() wrote: a tree of Python objects with tensors on the host, which share their
/// storages as they did in PyTorch. Locations ("cuda:0") are ignored.
class TorchFile {
 public:
  enum class Format { zip, legacy };

  /// Reads the zip format (PyTorch >= 1.6; stored or deflated) or the one before. Throws
  /// FormatError saying what is wrong; the caller names the file. The bytes must outlive it.
  /// Memory: the tensors' bytes once.
  explicit TorchFile(std::span<const std::byte> bytes);

  Format format() const { return format_; }
  const PickleValue& root() const { return *root_; }

 private:
  Format format_;
  std::shared_ptr<Buffer> pickle_;  // that the values borrow from, where it is not in the file
  PickleArena arena_;
  const PickleValue* root_ = nullptr;
};

/// Whether the bytes begin like a file of torch.save(), of either format.
bool looks_like_torch(std::span<const std::byte> bytes);

/// A tree for torch.save's zip format, made of what PyTorch opens with weights_only=True (real
/// numbers since 2.0).
class TorchObject {
 public:
  static TorchObject integer(std::int64_t value);
  static TorchObject real(double value);
  static TorchObject boolean(bool value);
  static TorchObject text(std::string value);
  /// Contiguous, on the host.
  static TorchObject tensor(Tensor value);
  static TorchObject list(std::vector<TorchObject> items);
  /// Keys are texts or integers. `ordered`: an OrderedDict, as a state dictionary is.
  static TorchObject dict(std::vector<std::pair<TorchObject, TorchObject>> items,
                          bool ordered = false);

 private:
  friend class TorchWriter;
  enum class Kind { integer, real, boolean, text, tensor, list, dict, ordered_dict };
  Kind kind_ = Kind::integer;
  std::int64_t integer_ = 0;
  double real_ = 0.0;
  std::string text_;
  Tensor tensor_;
  std::vector<TorchObject> items_;  // of a dictionary: key, value, key, value, ...
};

/// Writes atomically. The bytes depend on the objects alone.
void write_torch(const std::filesystem::path& path, const TorchObject& root);

}  // namespace msd
