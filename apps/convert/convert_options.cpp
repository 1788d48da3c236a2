// SPDX-License-Identifier: MIT
#include "apps/convert/convert_options.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>

#include "apps/common/usage.h"

namespace msd {
namespace {

const std::map<std::string, ConvertTarget> kTargets = {{"safetensors", ConvertTarget::safetensors},
                                                       {"pth", ConvertTarget::torch},
                                                       {"onnx", ConvertTarget::onnx},
                                                       {"json", ConvertTarget::json}};

// Names that ask for a target without --to.
const std::map<std::string, std::string> kEndings = {{".safetensors", "safetensors"},
                                                     {".pth", "pth"},
                                                     {".pt", "pth"},
                                                     {".tar", "pth"},
                                                     {".onnx", "onnx"},
                                                     {".json", "json"}};

}  // namespace

void ConvertOptions::add_to(CLI::App& app) {
  app_ = &app;
  app.add_option("input", input,
                 "Weights (safetensors; PyTorch's .pth, .pt, .pth.tar; Torch7's .t7), a hold-out "
                 "list (index.pth, Torch7's generated lists, split.json), or other values of "
                 "torch.save, such as flops.pth")
      ->required()
      ->group("Files");
  app.add_option("output", output,
                 "File to write, its format by its name: .safetensors; .pth, .pt, .pth.tar "
                 "(PyTorch); .onnx; .json (a hold-out list with --dataset, other values). Without "
                 "it, the input is described")
      ->group("Files");
  app.add_option("--to", to_, "Format of the output, whatever its name")
      ->check(CLI::IsMember(kTargets))
      ->default_str("by the output's name")
      ->needs(app.get_option("output"))
      ->group("Files");
  app.add_flag("--json", json, "Describe the input as JSON")
      ->excludes(app.get_option("output"))
      ->group("Files");
  app.add_flag("--weights-only", weights_only, "Leave the optimiser's momentum out")
      ->group("Weights");
  app.add_flag("--module-prefix", module_prefix,
               "pth: names begin with \"module.\", as the PyTorch implementation loads them")
      ->group("Weights");
  app.add_option("--exit", exit, "onnx: only this exit, from 1, and what it needs")
      ->check(CLI::PositiveNumber)
      ->default_str("all exits")
      ->group("Weights");
  app.add_flag("--keep-batchnorm", keep_batchnorm,
               "onnx: batch norm as operations, not folded into the convolutions")
      ->group("Weights");
  model.add_to(app);
  app.get_option("--preset")->default_str("what the file says, or its names and shapes");
  data.add_to(app, /*for_training=*/false);
  app.get_option("--dataset")->default_str("none");
  app.remove_option(app.get_option("--split"));
  app.add_option("--holdout", holdout,
                 "Of index.pth: how many of its last images are held out; -1: 5000 of CIFAR, 50000 "
                 "of ImageNet")
      ->capture_default_str()
      ->needs(app.get_option("--dataset"))
      ->group("Data");
  app.callback([this] { check_usage(); });
}

void ConvertOptions::check_usage() {
  if (output.empty()) {
    refuse_without_effect(
        *app_, {"--weights-only", "--module-prefix", "--exit", "--keep-batchnorm", "--dataset"},
        "no output");
    return;
  }
  if (to_.empty()) {
    const std::string ending = std::filesystem::path(output).extension().string();
    const auto known = kEndings.find(ending);
    if (known == kEndings.end()) {
      throw CLI::ValidationError("output", output +
                                               " does not end in .safetensors, .pth, .pt, "
                                               ".pth.tar, .onnx or .json; say which with --to");
    }
    to_ = known->second;
  }
  target_ = kTargets.at(to_);
  const std::string context = "an output of " + to_;
  if (target_ != ConvertTarget::torch) {
    refuse_without_effect(*app_, {"--module-prefix"}, context);
  }
  if (target_ != ConvertTarget::onnx) {
    refuse_without_effect(*app_, {"--exit", "--keep-batchnorm"}, context);
  }
  if (target_ == ConvertTarget::onnx || target_ == ConvertTarget::json) {
    refuse_without_effect(*app_, {"--weights-only"}, context);
  }
  if (target_ != ConvertTarget::json) {
    refuse_without_effect(*app_, {"--dataset"}, context);
  }
}

bool ConvertOptions::given(const char* option) const { return app_->count(option) > 0; }

}  // namespace msd
