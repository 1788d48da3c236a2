// SPDX-License-Identifier: MIT
// consumer WEIGHTS IMAGE CONFIDENCE: what another project does with the installed package.
#include <cstdio>
#include <cstdlib>

#include "msd/classifier.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    msd::Classifier classifier(argv[1]);
    const msd::Threshold rule{std::strtof(argv[3], nullptr)};
    const msd::Answer answer = classifier.classify_file(argv[2], rule);
    std::printf("class %d (%s), confidence %.4f, exit %d of %d, %.0f mul-adds\n", answer.label,
                answer.class_name.c_str(), static_cast<double>(answer.confidence),
                static_cast<int>(answer.exit), static_cast<int>(classifier.exits()),
                static_cast<double>(answer.mul_adds));
  } catch (const msd::Error& error) {
    std::fprintf(stderr, "consumer: %s\n", error.what());
    return 1;
  }
}
