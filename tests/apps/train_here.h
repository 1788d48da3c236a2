// SPDX-License-Identifier: MIT
#pragma once

#include <sstream>
#include <streambuf>
#include <string>

#include "engine/files/file_system.h"
#include "tests/apps/programs.h"

namespace msd::test {

/// What this process prints while this lives, stdout and stderr.
class CapturedOutput {
 public:
  CapturedOutput();
  ~CapturedOutput();
  CapturedOutput(const CapturedOutput&) = delete;
  CapturedOutput& operator=(const CapturedOutput&) = delete;
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::streambuf *out_, *err_;
};

/// msd-train in this process, on `files`; `out` holds stdout and stderr.
ProgramResult train_here(FileSystem& files, Arguments arguments);

}  // namespace msd::test
