// SPDX-License-Identifier: MIT
// msd-infer: classifies images, leaving the network as early as the exit rule allows.
#include <CLI/CLI.hpp>

#include "apps/common/app.h"
#include "apps/infer/infer.h"

int main(int argc, char** argv) {
  CLI::App app("Classifies images with early exit.", "msd-infer");
  msd::InferOptions options;
  options.add_to(app);
  return msd::run_app(app, argc, argv, [&options] {
    msd::infer(options);
    return 0;
  });
}
