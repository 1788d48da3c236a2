// SPDX-License-Identifier: MIT
#include "apps/common/runtime_options.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace msd {

void RuntimeOptions::add_to(CLI::App& app) {
  app.add_option("--threads", threads, "CPU threads; 0: one a core")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str()
      ->group("Execution");
  app.add_option("--device", device, "cpu, cuda or cuda:INDEX")
      ->capture_default_str()
      ->group("Execution");
  algorithms_given_ =
      app.add_option("--algorithms", algorithms,
                     "on a GPU: default, fastest (measured once), deterministic, or "
                     "OP=NAME,... of handwritten, cudnn, cublaslt, where they can")
          ->capture_default_str()
          ->group("Execution");
  program_ = app.get_name();
}

std::unique_ptr<Runtime> RuntimeOptions::make() const {
  auto runtime = std::make_unique<Runtime>(threads, parse_device(device));
  apply(*runtime);
  return runtime;
}

void RuntimeOptions::apply(Runtime& runtime) const {
  if (algorithms_given_ == nullptr || algorithms_given_->count() == 0) return;
  runtime.set_algorithms(algorithms, [program = program_](const std::string& warning) {
    std::cerr << program << ": warning: " << warning << '\n';
  });
}

}  // namespace msd
