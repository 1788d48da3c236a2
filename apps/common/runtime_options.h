// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "apps/common/cli_forward.h"
#include "engine/runtime.h"

namespace msd {

/// Where to compute.
struct RuntimeOptions {
  int threads = 0;
  std::string device = "cpu";
  std::string algorithms = "default";

  void add_to(CLI::App& app);

  std::unique_ptr<Runtime> make() const;
  /// Sets --algorithms up on a runtime; throws ConfigError where it can't be obeyed.
  void apply(Runtime& runtime) const;

 private:
  const CLI::Option* algorithms_given_ = nullptr;
  std::string program_;
};

}  // namespace msd
