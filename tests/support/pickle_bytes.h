// SPDX-License-Identifier: MIT
// Pickles and PyTorch files of the bytes that a test wants, sound or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/files/pickle.h"
#include "engine/files/zip_archive.h"

namespace msd::test {

/// The bytes that pairs of hexadecimal digits stand for.
std::string from_hex(std::string_view digits);

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// The value as Python's repr() prints it; numbers with %.17g, tensors as "tensor", objects as
/// their kind() and items or attributes, what is nested deeper than `deepest` as "...".
std::string show(const PickleValue& value, int deepest = 8);

// Parts of a pickle of protocol 2, to be put together with marks ('('), tuples ('t'), 'R', '.'.
std::string text(std::string_view value);
std::string integer(std::int64_t value);
std::string tuple(const std::vector<std::int64_t>& values);
std::string global(std::string_view module, std::string_view name);
/// A persistent id of `elems` elements of torch.`type`, such as "FloatStorage"; `more`: a sixth
/// part.
std::string storage(std::string_view type, std::string_view key, std::int64_t elems,
                    std::string_view more = "", std::string_view location = "cpu");
/// torch._utils._rebuild_tensor_v2 over storage().
std::string tensor(const std::string& storage, std::int64_t offset,
                   const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides);
/// A list of these, and the end.
std::string list_of(const std::vector<std::string>& items);

/// The bytes of numbers.
template <typename T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

using Entries = std::vector<std::pair<std::string, std::string>>;  // key, contents

/// A zip file of torch.save: data.pkl is `root`, data/KEY the storages; then the `more` entries.
std::string torch_zip(const std::string& root, const Entries& storages, const Entries& more = {});
/// Another zip file, of these entries.
std::string zip_of(const Entries& entries);

struct LegacyStorage {
  std::string key;
  std::int64_t elems;
  std::string bytes;
};
/// A file of PyTorch before 1.6.
std::string torch_legacy(const std::string& root, const std::vector<LegacyStorage>& storages,
                         std::int64_t protocol = 1001, bool little_endian = true);

}  // namespace msd::test
