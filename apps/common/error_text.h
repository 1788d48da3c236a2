// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <string>

namespace msd {

/// What a user is told of an exception that ends the program, in one line: of the project's own
/// errors their text without places in the source, of those of libraries what they mean here. Never
/// a library's own text, which speaks of its inside.
std::string error_text(const std::exception& error);

}  // namespace msd
