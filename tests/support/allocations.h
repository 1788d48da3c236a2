// SPDX-License-Identifier: MIT
#pragma once

namespace msd::test {

/// How often this binary has called operator new so far, in any form, from any thread. Binaries
/// that link allocations.cpp replace operator new to count.
long heap_allocations();

}  // namespace msd::test
