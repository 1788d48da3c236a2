// SPDX-License-Identifier: MIT
// msd-train: trains a network, or what its options name instead.
#include "apps/train/train.h"

int main(int argc, char** argv) {
  msd::CommandLine line(
      "Trains an MSDNet: multi-scale dense network with an exit after every block.", "msd-train");
  msd::TrainOptions options;
  options.add_to(line);
  return line.run(argc, argv, [&options] { return msd::train(options); });
}
