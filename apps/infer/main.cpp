// SPDX-License-Identifier: MIT
// msd-infer: classifies images, leaving the network as early as the exit rule allows.
#include "apps/infer/infer.h"

int main(int argc, char** argv) {
  msd::CommandLine line("Classifies images with early exit.", "msd-infer");
  msd::InferOptions options;
  options.add_to(line);
  return line.run(argc, argv, [&options] { return msd::infer(options); });
}
