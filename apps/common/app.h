// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

#include "apps/common/cli_forward.h"

namespace msd {

/// Parses argv, runs `run` and maps what happens to an exit code: 0; 1 for a failure, with one line
/// on stderr; 2 for wrong usage, with the nearest option where one is unknown.
int run_app(CLI::App& app, int argc, char** argv, const std::function<int()>& run);

/// The option of `app` whose name is nearest to `unknown` ("--epoch" -> "--epochs"), or "" where
/// none is near.
std::string nearest_option(const CLI::App& app, const std::string& unknown);

}  // namespace msd
