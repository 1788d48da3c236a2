// SPDX-License-Identifier: MIT
#pragma once

#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "engine/files/pickle.h"
#include "engine/files/torch7_file.h"

namespace msd {

/// A tree of Python values as JSON: tensors as {"dtype", "shape", "values"} with nested lists,
/// dictionaries with keys as text, objects of other classes as {"object", "state"}, each once.
/// Throws FormatError where it is no tree (a cycle) or has more than a few million numbers.
std::string values_text(const PickleValue& root);

/// What the tree holds, for people: a line an entry, numbers in full where there are few.
void print_values(std::ostream& out, const PickleValue& root);

/// The same of a tree of Torch7's.
void print_values(std::ostream& out, const Torch7Value& root);

/// Its tensors by their paths ("optimizer.state.0.momentum_buffer"), those in objects too; one that
/// is the root is called "value". left_out: the paths of those of types that none here has.
std::map<std::string, Tensor> values_tensors(const PickleValue& root,
                                             std::vector<std::string>& left_out);

}  // namespace msd
