// SPDX-License-Identifier: MIT
#pragma once

#include "engine/files/file_system.h"
#include "tests/apps/programs.h"

namespace msd::test {

/// msd-train in this process, on `files`; `out` holds stdout and stderr.
ProgramResult train_here(FileSystem& files, Arguments arguments);

}  // namespace msd::test
