// SPDX-License-Identifier: MIT
// The checks that the contracts share; contracts/X.cpp has those of X.h, as far as they can be made
// from sizes and pointers. What depends on the data (a label in range) is checked by the body,
// which knows where the data lie.
#pragma once

#include "kernels/view.h"

namespace msd {

// Each throws ShapeError naming `op`.

/// Sizes are not negative, rows don't overlap, there are data where there are elements; `what` is
/// the view's name in the contract.
void check_view(const ConstView& view, const char* op, const char* what);
void check_same_dtype(const ConstView& a, const ConstView& b, const char* op);
/// One dtype, too.
void check_same_shape(const ConstView& a, const ConstView& b, const char* op);
void check_pointer(const void* p, const char* op, const char* what);
void check_apart(const ConstView& a, const ConstView& b, const char* op);

/// Whether an element of one is one of the other. Exact for two slices of one buffer (equal pitch).
bool overlap(const ConstView& a, const ConstView& b);

}  // namespace msd
