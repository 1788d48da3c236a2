// SPDX-License-Identifier: MIT
// The option parser's classes without its header, which takes the compiler seconds.
#pragma once

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI
