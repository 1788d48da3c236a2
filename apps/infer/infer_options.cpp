// SPDX-License-Identifier: MIT
#include "apps/infer/infer_options.h"

#include <CLI/CLI.hpp>

#include "apps/common/usage.h"

namespace msd {
namespace {

using Names = std::vector<std::string>;

// Of several options at most one may be given.
void exclude_each_other(CLI::App& app, const Names& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = i + 1; j < names.size(); ++j) {
      app.get_option(names[i])->excludes(app.get_option(names[j]));
    }
  }
}

void exclude(CLI::App& app, const std::string& name, const Names& others) {
  for (const std::string& other : others) app.get_option(name)->excludes(app.get_option(other));
}

}  // namespace

void InferOptions::add_inputs(CLI::App& app) {
  app.add_option("images", inputs, "Image files (JPEG, PNG, BMP, PPM, PGM), or folders of them")
      ->group("Input");
  data.add_to(app, /*for_training=*/false);
  for (const char* name : {"--dataset", "--data", "--split"}) {
    app.get_option(name)->default_str("the checkpoint's");
  }
  app.add_option("--part", part, "Which images of the data set")
      ->check(CLI::IsMember({"test", "holdout", "train"}))
      ->capture_default_str()
      ->group("Data");
  app.add_option("--limit", limit, "Only the first so many images")
      ->check(CLI::PositiveNumber)
      ->default_str("all")
      ->group("Input");
  app.add_option("--tensors", tensors,
                 "Instead of images: safetensors with normalised `input` [n,3,h,w]")
      ->group("Input");
  app.add_option("--logits", logits,
                 "With --tensors: safetensors to write logits1, logits2, ... to")
      ->needs(app.get_option("--tensors"))
      ->group("Input");
  app.get_option("--tensors")->needs(app.get_option("--logits"));
  const Names of_dataset = {"--dataset", "--data", "--split", "--part"};
  exclude(app, "images", of_dataset);
  exclude(app, "--tensors", of_dataset);
  exclude(app, "--tensors", {"images", "--limit"});
}

void InferOptions::add_rules(CLI::App& app) {
  const std::string group = "Exit rule (default: all exits run, the last one answers)";
  app.add_option("--threshold", threshold,
                 "Leave at the first exit that is at least so confident, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app.add_option("--thresholds", thresholds,
                 "Thresholds of msd-eval --mode budget; with --budget or --p")
      ->group(group);
  app.add_option("--budget", budget,
                 "Mean mul-adds a sample may cost, as 20M: picks from --thresholds")
      ->needs(app.get_option("--thresholds"))
      ->group(group);
  app.add_option("--p", p, "Point of --thresholds by its p; 1: balanced")
      ->needs(app.get_option("--thresholds"))
      ->group(group);
  app.add_option("--exit", exit, "Only this exit, from 1, without the classifiers before it")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--deadline-ms", deadline_ms,
                 "Go on while the next exit is expected in time; the first always runs")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_flag("--all-exits", all_exits, "Answer at every exit, not only at the last one")
      ->group(group);
  const Names rules = {"--threshold", "--thresholds", "--deadline-ms", "--all-exits"};
  exclude_each_other(app, rules);
  exclude(app, "--exit", rules);
  exclude(app, "--tensors", rules);
  exclude_each_other(app, {"--budget", "--p"});
}

void InferOptions::add_to(CLI::App& app) {
  app_ = &app;
  app.add_option("--weights", weights,
                 "A checkpoint, or weights in safetensors or of PyTorch or Torch7")
      ->required()
      ->group("Network");
  add_inputs(app);
  add_rules(app);
  app.add_option("--top", top, "Likeliest classes to name, 1 to 5")
      ->check(CLI::Range(1, 5))
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--json", json, "One JSON object a line: a sample each, then the summary")
      ->group("Output");
  app.add_flag("--verbose", verbose, "A row for every sample, also where there are more than 50")
      ->group("Output");
  runtime.threads = 1;
  runtime.add_to(app);
  precision.add_to(app, "Execution");
  model.add_to(app);
  app.get_option("--preset")->default_str("the checkpoint's network");
  exclude(app, "--tensors", {"--top", "--json", "--verbose"});
  app.callback([this] { check_usage(); });
}

void InferOptions::check_usage() const {
  if (given("--thresholds") && !given("--budget") && !given("--p")) {
    throw CLI::RequiredError("--thresholds needs --budget or --p, which");
  }
  if (inputs.empty() && tensors.empty() && !from_dataset()) {
    throw CLI::RequiredError("image files, folders, --dataset or --tensors: one of them");
  }
  if (part == "test") refuse_without_effect(*app_, {"--split"}, "--part test");
  if (json) refuse_without_effect(*app_, {"--verbose"}, "--json, which tells of every sample");
}

bool InferOptions::from_dataset() const {
  return given("--dataset") || given("--part") || given("--data") || given("--split");
}

bool InferOptions::given(const char* option) const { return app_->count(option) > 0; }

}  // namespace msd
