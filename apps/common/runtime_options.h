// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "apps/common/options.h"
#include "engine/runtime.h"

namespace msd {

/// Where to compute.
struct RuntimeOptions {
  int threads = 0;
  std::string device = "cpu";
  std::string algorithms = "default";

  void add_to(CommandLine& line);

  std::unique_ptr<Runtime> make() const;
  /// Sets --algorithms up on a runtime; throws ConfigError where it can't be obeyed.
  void apply(Runtime& runtime) const;

 private:
  Option algorithms_;
  std::string program_;
};

}  // namespace msd
