// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace msd {

/// A file that a program is told of: by which option, and its path; "" where it is not given.
struct NamedFile {
  std::string option;
  std::string path;
};

/// Before the work whose result goes to `output`: throws IoError where it could not be written
/// there, and ConfigError where it would replace one of `others`, under whatever name and through
/// whatever links.
void check_output(const NamedFile& output, const std::vector<NamedFile>& others);

/// Throws IoError where not all that was printed reached stdout.
void require_printed();

}  // namespace msd
