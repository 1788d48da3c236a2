// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/options.h"
#include "apps/common/preprocessing_options.h"

namespace msd {

/// What msd-convert writes.
enum class ConvertTarget : std::uint8_t { describe, safetensors, torch, onnx, json };

/// The command line of msd-convert.
class ConvertOptions {
 public:
  void add_to(CommandLine& line);

  /// By the output's name, or --to.
  ConvertTarget target() const { return target_; }
  bool given(const char* option) const;

  std::string input, output;
  std::string entry;    // of several networks; empty: the one that counts
  bool values = false;  // as they are, whatever network the file holds
  ModelOptions model;
  DataOptions data;
  PreprocessingOptions preprocessing;
  std::int64_t holdout = -1;  // of a permutation; -1: as its implementation takes
  bool json = false;
  bool weights_only = false, module_prefix = false;
  std::int64_t exit = 0;  // from 1; 0: all
  bool keep_batchnorm = false;

 private:
  void check_usage();

  const CommandLine* line_ = nullptr;
  std::string to_;
  ConvertTarget target_ = ConvertTarget::describe;
};

}  // namespace msd
