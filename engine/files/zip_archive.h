// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace msd {

/// Reads a zip archive (stored or deflated entries, zip64) that lies in memory, by libzip.
class ZipArchive {
 public:
  /// Borrows the bytes. Throws FormatError where they are no archive, a name is there twice, or the
  /// entries are more, or together larger, than the bytes can hold.
  explicit ZipArchive(std::span<const std::byte> bytes);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  /// In the archive's order.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// An entry's contents, its checksum verified. Memory grows with what really comes out of the
  /// entry, not with the size it claims. Throws FormatError naming the entry, also where it claims
  /// more than `most_bytes`.
  std::shared_ptr<Buffer> read(const std::string& name,
                               std::uint64_t most_bytes = ~std::uint64_t{0}) const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  std::vector<std::string> names_;
};

/// An entry to write; the bytes are borrowed.
struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;
};

/// The bytes of an archive of these entries, at least one, stored and in this order; the same for
/// the same entries.
std::vector<std::byte> zip_archive(const std::vector<ZipEntry>& entries);

}  // namespace msd
