// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>

namespace msd {

/// Wrong usage where the command line gives one of `options`, because `context` ("--dry-run", "a
/// batch of 1") leaves it without effect: nobody should believe in an option that is not obeyed.
/// Only what was typed counts, not defaults or what a run or checkpoint stored. Call from the app's
/// callback.
inline void refuse_without_effect(const CLI::App& app, std::initializer_list<const char*> options,
                                  const std::string& context) {
  for (const char* option : options) {
    if (app.count(option) == 0) continue;
    throw CLI::ExcludesError(std::string(option) + " has no effect with " + context,
                             CLI::ExitCodes::ExcludesError);
  }
}

}  // namespace msd
