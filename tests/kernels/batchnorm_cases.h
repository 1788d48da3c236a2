// SPDX-License-Identifier: MIT
// What the tests of the three batch normalisations share.
#pragma once

#include <limits>
#include <string>

#include "tests/kernels/call_runs.h"
#include "tests/kernels/calls/batchnorm.h"

namespace msd::test::norm {

using calls::BatchnormReference;
using calls::Shape;

// Rows below, at and above the unrolling, the blocks of 256 rows and the tasks of 64 KB; channels
// below, at and above a vector, four vectors and the 512 channels of a part.
inline constexpr Shape kShapes[] = {
    {1, 1, 2, 1},   {1, 3, 1, 3},     {2, 3, 5, 3},   {1, 7, 1, 5},   {4, 4, 4, 6},
    {3, 9, 10, 6},  {2, 16, 9, 12},   {2, 9, 9, 16},  {1, 11, 5, 17}, {2, 16, 16, 24},
    {5, 7, 13, 48}, {2, 11, 13, 130}, {1, 2, 2, 530}, {8, 24, 24, 6}};
inline constexpr Gap kGaps[] = {{0, 0}, {3, 1}, {0, 2}};

template <typename T>
constexpr double kEps = static_cast<double>(std::numeric_limits<T>::epsilon());

/// Calls body(problem) on every shape, gap and with and without ReLU. Problem: a call.
template <typename Problem, typename Body>
void for_each_problem(Body body) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const bool relu : {true, false}) {
        SCOPED_TRACE(
            message(shape.text(), " gap ", gap.before, "+", gap.after, relu ? " relu" : ""));
        Problem p(shape, gap);
        p.relu = relu;
        body(p);
      }
    }
  }
}

}  // namespace msd::test::norm
