// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>

namespace msd {

/// Where the bytes for a path go. Every writer asks here, so that only a regular file, or a name
/// that is free, is ever replaced; what else stands there is written into.
struct WriteTarget {
  /// A device, a pipe or a descriptor of this process: opened and written into, never replaced.
  bool is_stream = false;
  /// Symbolic links followed, also those that lead to nothing yet; of a stream as it was given.
  std::filesystem::path path;
  /// The open descriptor that the path names, as /dev/stdout and /dev/fd/3 do; -1: none.
  int descriptor = -1;
};

/// Throws IoError where nothing can be written there: a folder, a file that this user may not
/// change, a loop of links.
WriteTarget write_target(const std::filesystem::path& path);

}  // namespace msd
