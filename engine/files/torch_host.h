// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/files/pickle_objects.h"

namespace msd {

/// These two throw FormatError saying that `what` is something else.
std::int64_t integer_of(const PickleValue& value, std::string_view what);
const std::string& text_of(const PickleValue& value, std::string_view what);

/// Rebuilds PyTorch's tensors; where a storage's bytes come from is the formats' difference.
/// Tensors that no type or layout here holds (int8, complex, float8, sparse, quantised, meta, ...)
/// are opaque Objects called "tensor of int8" and made with their size.
class TorchHost : public PythonHost {
 public:
  explicit TorchHost(std::size_t file_bytes)
      : copies_left_(static_cast<std::int64_t>(file_bytes)) {}

  PickleValue* call(const PickleValue& global, const PickleValue& arguments,
                    PickleArena& arena) override;
  PickleValue* persistent(const PickleValue& id, PickleArena& arena) override;

 protected:
  using Storage = PickleValue::Storage;

  /// The `bytes` of a storage that is named for the first time.
  virtual std::shared_ptr<Buffer> bytes_of(const std::string& key, std::int64_t bytes) = 0;

  std::map<std::string, Storage> storages_;

 private:
  using Values = std::vector<const PickleValue*>;

  PickleValue* rebuild_tensor(const Values& given, PickleArena& arena);
  PickleValue* tensor(const Storage& storage, const Values& given, PickleArena& arena);

  std::int64_t copies_left_;
};

}  // namespace msd
