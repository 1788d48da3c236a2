// SPDX-License-Identifier: MIT
// Sizes of activations that ops which move rows are tested on.
#pragma once

#include "tests/kernels/calls/memory.h"

namespace msd::test {

// Channels around the vectors, rows around the tasks of 64 KB, nothing at all.
inline constexpr calls::Shape kRowShapes[] = {{1, 1, 1, 1},  {2, 3, 5, 3},    {1, 7, 1, 5},
                                              {3, 9, 10, 6}, {2, 16, 9, 12},  {1, 11, 5, 17},
                                              {2, 8, 8, 24}, {4, 20, 20, 48}, {2, 5, 13, 130},
                                              {0, 3, 3, 5},  {2, 3, 3, 0},    {1, 1, 1, 20000}};
inline constexpr calls::Gap kRowGaps[] = {{0, 0}, {3, 1}};

}  // namespace msd::test
