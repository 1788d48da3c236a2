// SPDX-License-Identifier: MIT
// msd-convert: says what a file of another program holds, and converts it.
#include "apps/convert/convert.h"

int main(int argc, char** argv) {
  msd::CommandLine line(
      "Says what a file of weights, a hold-out list or a list of costs holds, of this project, "
      "PyTorch or Torch7, and converts it.",
      "msd-convert");
  msd::ConvertOptions options;
  options.add_to(line);
  return line.run(argc, argv, [&options] {
    msd::convert(options);
    return 0;
  });
}
