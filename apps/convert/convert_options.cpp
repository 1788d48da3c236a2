// SPDX-License-Identifier: MIT
#include "apps/convert/convert_options.h"

#include <filesystem>
#include <map>

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

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const auto& [name, target] : kTargets) names.push_back(name);
  return names;
}

}  // namespace

void ConvertOptions::add_to(CommandLine& line) {
  line_ = &line;
  line.option("input", input,
              "Weights (safetensors; PyTorch's .pth, .pt, .pth.tar; Torch7's .t7), a hold-out "
              "list (index.pth, Torch7's generated lists, split.json), or other values of "
              "torch.save, such as flops.pth")
      .required()
      .group("Files");
  line.option("output", output,
              "File to write, its format by its name: .safetensors; .pth, .pt, .pth.tar "
              "(PyTorch); .onnx; .json (a hold-out list with --dataset, other values). Without "
              "it, the input is described")
      .group("Files");
  line.option("--to", to_, "Format of the output, whatever its name")
      .one_of(target_names())
      .default_text("by the output's name")
      .needs(line.find("output"))
      .group("Files");
  line.flag("--json", json, "Describe the input as JSON")
      .excludes(line.find("output"))
      .group("Files");
  line.flag("--values", values,
            "Take the input's values as they are, whatever network is in them or none; written to "
            ".safetensors (tensors) or .json")
      .group("Files");
  line.option("--entry", entry,
              "Of an input that holds several networks, the one under this name, such as "
              "model_ema")
      .default_text("the only one, or state_dict, model, ...")
      .excludes(line.find("--values"))
      .group("Weights");
  line.flag("--weights-only", weights_only, "Leave the optimiser's momentum out").group("Weights");
  line.flag("--module-prefix", module_prefix,
            "pth: names begin with \"module.\", as the PyTorch implementation loads them")
      .group("Weights");
  line.option("--exit", exit, "onnx: only this exit, from 1, and what it needs")
      .at_least(1)
      .default_text("all exits")
      .group("Weights");
  line.flag("--keep-batchnorm", keep_batchnorm,
            "onnx: batch norm as operations, not folded into the convolutions")
      .group("Weights");
  model.add_to(line);
  line.find("--preset").default_text("what the file says, or its names and shapes");
  data.add_to(line, /*for_training=*/false);
  line.find("--dataset").default_text("none");
  line.find("--data").needs(line.find("--dataset"));
  preprocessing.add_to(line, /*with_class_names=*/true);
  line.remove("--split");
  line.option("--holdout", holdout,
              "Of index.pth: how many of its last images are held out; -1: 5000 of CIFAR, 50000 "
              "of ImageNet")
      .at_least(-1)
      .show_default()
      .needs(line.find("--dataset"))
      .group("Data");
  line.on_parsed([this] { check_usage(); });
}

void ConvertOptions::check_usage() {
  preprocessing.check_usage();
  if (output.empty()) {
    for (const std::string& name : PreprocessingOptions::names()) {
      line_->refuse_without_effect({name}, "no output");
    }
    line_->refuse_without_effect(
        {"--weights-only", "--module-prefix", "--exit", "--keep-batchnorm", "--dataset"},
        "no output");
    return;
  }
  if (to_.empty()) {
    const std::string ending = std::filesystem::path(output).extension().string();
    const auto known = kEndings.find(ending);
    if (known == kEndings.end()) {
      throw UsageError("output: " + output +
                       " does not end in .safetensors, .pth, .pt, "
                       ".pth.tar, .onnx or .json; say which with --to");
    }
    to_ = known->second;
  }
  target_ = kTargets.at(to_);
  const std::string context = "an output of " + to_;
  if (target_ != ConvertTarget::torch) {
    line_->refuse_without_effect({"--module-prefix"}, context);
  }
  if (target_ != ConvertTarget::onnx) {
    line_->refuse_without_effect({"--exit", "--keep-batchnorm"}, context);
  }
  if (target_ == ConvertTarget::onnx || target_ == ConvertTarget::json) {
    for (const std::string& name : PreprocessingOptions::names()) {
      line_->refuse_without_effect({name}, context);
    }
    line_->refuse_without_effect({"--weights-only"}, context);
  }
  if (target_ != ConvertTarget::json) {
    line_->refuse_without_effect({"--dataset"}, context);
  }
}

bool ConvertOptions::given(const char* option) const { return line_->given(option); }

}  // namespace msd
