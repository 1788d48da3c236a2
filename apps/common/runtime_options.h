// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "engine/runtime.h"

namespace msd {

/// Where to compute.
struct RuntimeOptions {
  int threads = 0;
  std::string device = "cpu";

  void add_to(CLI::App& app) {
    app.add_option("--threads", threads, "CPU threads; 0: one a core")
        ->check(CLI::Range(0, 4096))
        ->capture_default_str()
        ->group("Execution");
    app.add_option("--device", device, "cpu, cuda or cuda:INDEX")
        ->capture_default_str()
        ->group("Execution");
  }

  std::unique_ptr<Runtime> make() const {
    return std::make_unique<Runtime>(threads, parse_device(device));
  }
};

}  // namespace msd
