// SPDX-License-Identifier: MIT
#include "tests/apps/train_here.h"

#include <iostream>

#include "apps/train/train.h"

namespace msd::test {

CapturedOutput::CapturedOutput()
    : out_(std::cout.rdbuf(text_.rdbuf())), err_(std::cerr.rdbuf(text_.rdbuf())) {}

CapturedOutput::~CapturedOutput() {
  std::cout.rdbuf(out_);
  std::cerr.rdbuf(err_);
}

ProgramResult train_here(FileSystem& files, Arguments arguments) {
  arguments.insert(arguments.begin(), "msd-train");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  const CapturedOutput output;
  const FileSystemOverride override(files);
  CommandLine line("", "msd-train");
  TrainOptions options;
  options.add_to(line);
  const int code =
      line.run(static_cast<int>(argv.size()), argv.data(), [&] { return train(options); });
  return {code, output.text(), ""};
}

}  // namespace msd::test
