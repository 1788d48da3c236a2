// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace msd {

/// What bytes are that are no file of weights, told by how they begin, with what to do: "an HTML
/// page, as a failed download leaves it; ...", "a tar archive of ...". Empty where nothing known.
/// For messages; never throws.
std::string foreign_kind(std::span<const std::byte> bytes);

}  // namespace msd
