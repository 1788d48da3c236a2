// SPDX-License-Identifier: MIT
#pragma once

namespace msd {

/// How often this binary has called operator new so far, from any thread.
long allocations();

}  // namespace msd
