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
  /// Borrows the bytes. Throws FormatError where they are no archive.
  explicit ZipArchive(std::span<const std::byte> bytes);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  /// In the archive's order.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// An entry's contents, its checksum verified. Memory grows with what really comes out of the
  /// entry, not with the size it claims. Throws FormatError naming the entry.
  std::shared_ptr<Buffer> read(const std::string& name) const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  std::size_t size_;
  std::vector<std::string> names_;
};

/// An entry to write; the bytes are borrowed.
struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;
};

/// The bytes of an archive of these entries, stored and in this order; the same for the same
/// entries.
std::vector<std::byte> zip_archive(const std::vector<ZipEntry>& entries);

}  // namespace msd
