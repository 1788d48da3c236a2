// SPDX-License-Identifier: MIT
#include "apps/infer/infer_options.h"

#include "data/image_listing.h"

namespace msd {
namespace {

using Names = std::vector<std::string>;

// Of several options at most one may be given.
void exclude_each_other(CommandLine& line, const Names& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = i + 1; j < names.size(); ++j) {
      line.find(names[i]).excludes(line.find(names[j]));
    }
  }
}

void exclude(CommandLine& line, const std::string& name, const Names& others) {
  for (const std::string& other : others) line.find(name).excludes(line.find(other));
}

}  // namespace

void InferOptions::add_inputs(CommandLine& line) {
  line.option("images", inputs,
              "Image files, or folders to search at any depth (" + image_endings_text() +
                  "; EXIF's orientation is ignored); where one cannot be read, the others are "
                  "classified and the exit code is 1")
      .group("Input");
  data.add_to(line, /*for_training=*/false);
  for (const char* name : {"--dataset", "--data", "--split"}) {
    line.find(name).default_text("the checkpoint's");
  }
  line.option("--part", part, "Which images of the data set")
      .one_of({"test", "holdout", "train"})
      .show_default()
      .group("Data");
  line.option("--limit", limit, "Only the first so many images")
      .at_least(1)
      .default_text("all")
      .group("Input");
  line.option("--tensors", tensors,
              "Instead of images: safetensors with normalised `input` [n,3,h,w]")
      .group("Input");
  line.option("--logits", logits, "With --tensors: safetensors to write logits1, logits2, ... to")
      .needs(line.find("--tensors"))
      .group("Input");
  line.find("--tensors").needs(line.find("--logits"));
  preprocessing.add_to(line, /*with_class_names=*/true);
  const Names of_dataset = {"--dataset", "--data", "--split", "--part"};
  exclude(line, "images", of_dataset);
  exclude(line, "--tensors", of_dataset);
  exclude(line, "--tensors", {"images", "--limit"});
  exclude(line, "--tensors", PreprocessingOptions::names());
}

void InferOptions::add_rules(CommandLine& line) {
  const std::string group = "Exit rule (default: all exits run, the last one answers)";
  line.option("--threshold", threshold,
              "Leave at the first exit that is at least so confident, 0 to 1")
      .share()
      .group(group);
  line.option("--thresholds", thresholds,
              "Thresholds of msd-eval --mode budget; with --budget or --p")
      .group(group);
  line.quantity("--budget", budget,
                "Mean mul-adds a sample may cost, as 20M: picks from --thresholds")
      .needs(line.find("--thresholds"))
      .group(group);
  line.option("--p", p, "Point of --thresholds by its p; 1: balanced")
      .needs(line.find("--thresholds"))
      .group(group);
  line.option("--exit", exit, "Only this exit, from 1, without the classifiers before it")
      .at_least(1)
      .group(group);
  line.option("--deadline-ms", deadline_ms,
              "Go on while the next exit is expected in time; the first always runs")
      .above_zero()
      .group(group);
  line.flag("--all-exits", all_exits, "Answer at every exit, not only at the last one")
      .group(group);
  const Names rules = {"--threshold", "--thresholds", "--deadline-ms", "--all-exits"};
  exclude_each_other(line, rules);
  exclude(line, "--exit", rules);
  exclude(line, "--tensors", rules);
  exclude_each_other(line, {"--budget", "--p"});
}

void InferOptions::add_to(CommandLine& line) {
  line_ = &line;
  line.option("--weights", weights,
              "A checkpoint, or weights in safetensors or of PyTorch or Torch7")
      .required()
      .group("Network");
  add_inputs(line);
  add_rules(line);
  line.option("--top", top, "Likeliest classes to name, 1 to 5")
      .range(1, 5)
      .show_default()
      .group("Output");
  line.flag("--json", json, "One JSON object a line: a sample each, then the summary")
      .group("Output");
  line.flag("--verbose", verbose, "A row for every sample, also where there are more than 50")
      .group("Output");
  runtime.threads = 1;
  runtime.add_to(line);
  precision.add_to(line, "Execution");
  model.add_to(line);
  line.find("--preset").default_text("the checkpoint's network");
  exclude(line, "--tensors", {"--top", "--json", "--verbose"});
  line.on_parsed([this] { check_usage(); });
}

void InferOptions::check_usage() const {
  preprocessing.check_usage();
  if (given("--thresholds") && !given("--budget") && !given("--p")) {
    throw UsageError("--thresholds needs --budget or --p, which is required");
  }
  if (inputs.empty() && tensors.empty() && !from_dataset()) {
    throw UsageError("image files, folders, --dataset or --tensors: one of them is required");
  }
  if (part == "test") line_->refuse_without_effect({"--split"}, "--part test");
  if (json) line_->refuse_without_effect({"--verbose"}, "--json, which tells of every sample");
}

bool InferOptions::from_dataset() const {
  return given("--dataset") || given("--part") || given("--data") || given("--split");
}

bool InferOptions::given(const char* option) const { return line_->given(option); }

}  // namespace msd
