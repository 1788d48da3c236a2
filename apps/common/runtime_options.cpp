// SPDX-License-Identifier: MIT
#include "apps/common/runtime_options.h"

#include <iostream>

namespace msd {

void RuntimeOptions::add_to(CommandLine& line) {
  line.option("--threads", threads, "CPU threads; 0: one a core")
      .range(0, 4096)
      .show_default()
      .group("Execution");
  line.option("--device", device, "cpu, cuda or cuda:INDEX").show_default().group("Execution");
  algorithms_ = line.option("--algorithms", algorithms,
                            "on a GPU: default, fastest (measured once), deterministic, or "
                            "OP=NAME,... of handwritten, cudnn, cublaslt, where they can")
                    .show_default()
                    .group("Execution");
  program_ = line.program();
}

std::unique_ptr<Runtime> RuntimeOptions::make() const {
  auto runtime = std::make_unique<Runtime>(threads, parse_device(device));
  apply(*runtime);
  return runtime;
}

void RuntimeOptions::apply(Runtime& runtime) const {
  if (!algorithms_.given()) return;
  runtime.set_algorithms(algorithms, [program = program_](const std::string& warning) {
    std::cerr << program << ": warning: " << warning << '\n';
  });
}

}  // namespace msd
