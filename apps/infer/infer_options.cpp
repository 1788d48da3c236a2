// SPDX-License-Identifier: MIT
#include "apps/infer/infer_options.h"

namespace msd {
namespace {

// Of several options at most one may be given.
void exclude_each_other(const std::vector<CLI::Option*>& options) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    for (std::size_t j = i + 1; j < options.size(); ++j) options[i]->excludes(options[j]);
  }
}

}  // namespace

void InferOptions::add_inputs(CLI::App& app) {
  CLI::Option* files =
      app.add_option("images", inputs, "Image files (JPEG, PNG, BMP, PPM), or folders of them")
          ->group("Input");
  data.add_to(app, /*for_training=*/false);
  CLI::Option* part = app.add_option("--part", this->part, "Which images of the data set")
                          ->check(CLI::IsMember({"test", "holdout", "train"}))
                          ->capture_default_str()
                          ->group("Data");
  std::vector<CLI::Option*> of_dataset = {part};
  for (const char* name : {"--dataset", "--data", "--split"}) {
    of_dataset.push_back(app.get_option(name)->default_str("the checkpoint's"));
  }
  CLI::Option* limit = app.add_option("--limit", this->limit, "Only the first so many images")
                           ->check(CLI::PositiveNumber)
                           ->default_str("all")
                           ->group("Input");
  CLI::Option* tensors =
      app.add_option("--tensors", this->tensors,
                     "Instead of images: safetensors with normalised `input` [n,3,h,w]")
          ->group("Input");
  CLI::Option* logits =
      app.add_option("--logits", this->logits,
                     "With --tensors: safetensors to write logits1, logits2, ... to")
          ->group("Input");
  tensors->needs(logits)->excludes(limit)->excludes(files);
  logits->needs(tensors);
  for (CLI::Option* option : of_dataset) {
    files->excludes(option);
    tensors->excludes(option);
  }
}

void InferOptions::add_rules(CLI::App& app) {
  const std::string group = "Exit rule (default: all exits run, the last one answers)";
  CLI::Option* threshold =
      app.add_option("--threshold", this->threshold,
                     "Leave at the first exit that is at least so confident, 0 to 1")
          ->check(CLI::Range(0.0, 1.0))
          ->group(group);
  CLI::Option* thresholds =
      app.add_option("--thresholds", this->thresholds,
                     "Thresholds of msd-eval --mode budget; with --budget or --p")
          ->group(group);
  CLI::Option* budget =
      app.add_option("--budget", this->budget,
                     "Mean mul-adds a sample may cost, as 20M: picks from --thresholds")
          ->group(group);
  CLI::Option* p =
      app.add_option("--p", this->p, "Point of --thresholds by its p; 1: balanced")->group(group);
  CLI::Option* exit = app.add_option("--exit", this->exit,
                                     "Only this exit, from 1, without the classifiers before it")
                          ->check(CLI::PositiveNumber)
                          ->group(group);
  CLI::Option* deadline =
      app.add_option("--deadline-ms", this->deadline_ms,
                     "Go on while the next exit is expected in time; the first always runs")
          ->check(CLI::PositiveNumber)
          ->group(group);
  CLI::Option* all =
      app.add_flag("--all-exits", all_exits, "Answer at every exit, not only at the last one")
          ->group(group);
  exclude_each_other({threshold, thresholds, exit, deadline, all});
  budget->needs(thresholds)->excludes(p);
  p->needs(thresholds);
  for (CLI::Option* rule : {threshold, thresholds, deadline, all}) {
    app.get_option("--tensors")->excludes(rule);
  }
}

void InferOptions::add_to(CLI::App& app) {
  app_ = &app;
  app.add_option("--weights", weights, "Checkpoint, or bare state dictionary, in safetensors")
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
  app.add_option("--dtype", dtype_, "Arithmetic: fp32 or fp64")
      ->check(CLI::IsMember({"fp32", "fp64"}))
      ->capture_default_str()
      ->group("Execution");
  model.add_to(app);
  app.callback([this] {
    if (given("--thresholds") && !given("--budget") && !given("--p")) {
      throw CLI::RequiredError("--thresholds needs --budget or --p, which");
    }
    if (inputs.empty() && tensors.empty() && !from_dataset()) {
      throw CLI::RequiredError("image files, folders, --dataset or --tensors: one of them");
    }
  });
}

bool InferOptions::from_dataset() const {
  return given("--dataset") || given("--part") || given("--data") || given("--split");
}

}  // namespace msd
