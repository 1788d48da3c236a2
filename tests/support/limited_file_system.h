// SPDX-License-Identifier: MIT
#pragma once

#include <sys/statvfs.h>

#include <cerrno>
#include <cstdint>

#include "engine/files/file_system.h"

namespace msd::test {

/// Says how much is free, whatever is written, and may lack hard links.
class LimitedFileSystem : public FileSystem {
 public:
  explicit LimitedFileSystem(std::int64_t free, bool has_links = true)
      : free_(free), has_links_(has_links) {}

  int link(const char* from, const char* to) override {
    if (has_links_) return FileSystem::link(from, to);
    errno = EPERM;
    return -1;
  }
  int statvfs(const char*, struct ::statvfs* result) override {
    *result = {};
    result->f_frsize = 1;
    result->f_blocks = std::uint64_t{1} << 50;
    result->f_bavail = static_cast<std::uint64_t>(free_);
    return 0;
  }

 private:
  std::int64_t free_;
  bool has_links_;
};

}  // namespace msd::test
