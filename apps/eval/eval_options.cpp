// SPDX-License-Identifier: MIT
#include "apps/eval/eval_options.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "apps/common/usage.h"

namespace msd {

void EvalOptions::add_to(CLI::App& app) {
  app_ = &app;
  app.add_option("--weights", weights,
                 "A checkpoint, or weights in safetensors or of PyTorch or Torch7")
      ->required()
      ->group("Network");
  runtime.add_to(app);
  precision.add_to(app, "Execution");
  app.add_option("--batch-size", batch_size,
                 "Images evaluated at once, 0: 8 a thread; changes no result")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str()
      ->group("Execution");

  data.add_to(app, /*for_training=*/false);
  app.get_option("--dataset")->default_str("the checkpoint's");
  app.get_option("--data")->default_str("the checkpoint's");
  app.get_option("--split")->default_str("the checkpoint's");
  const std::vector<std::string> parts = {"test", "holdout", "train"};
  app.add_option("--part", part, "Images to evaluate on")
      ->check(CLI::IsMember(parts))
      ->capture_default_str()
      ->group("Data");

  const std::string group = "Evaluation";
  app.add_option("--mode", mode,
                 "anytime: every exit, alone and as a running ensemble; budget: thresholds for 39 "
                 "budgets and what they give")
      ->check(CLI::IsMember({"anytime", "budget"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--fit-part", fit_part, "budget: images the thresholds are fitted on")
      ->check(CLI::IsMember(parts))
      ->capture_default_str()
      ->group(group);
  app.add_option("--time-images", time_images,
                 "anytime: images timed, at batch 1 on one thread; the median counts; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);

  app.add_option("--thresholds", thresholds_, "budget: file to write the thresholds to")
      ->default_str("thresholds.json beside the weights")
      ->group("Output");
  app.add_option("--output", output,
                 "Also write the rows: to a file ending in .csv or .json, or both to a folder")
      ->group("Output");
  CLI::Option* format = app.add_option("--format", format_, "Of what is printed")
                            ->check(CLI::IsMember({"table", "json", "csv"}))
                            ->capture_default_str()
                            ->group("Output");
  app.add_flag("--json", json_, "The same as --format json")->excludes(format)->group("Output");
  model.add_to(app);
  app.get_option("--preset")->default_str("the checkpoint's network");
  app.callback([this] { check_usage(); });
}

void EvalOptions::check_usage() const {
  if (mode == "budget") {
    refuse_without_effect(*app_, {"--time-images"}, "--mode budget");
    return;
  }
  refuse_without_effect(*app_, {"--fit-part", "--thresholds"}, "--mode anytime");
  if (part == "test") refuse_without_effect(*app_, {"--split"}, "--part test");
}

ReportFormat EvalOptions::format() const {
  if (json_ || format_ == "json") return ReportFormat::json;
  return format_ == "csv" ? ReportFormat::csv : ReportFormat::table;
}

std::string EvalOptions::thresholds_path() const {
  if (!thresholds_.empty()) return thresholds_;
  return (std::filesystem::path(weights).parent_path() / "thresholds.json").string();
}

bool EvalOptions::split_given() const { return app_->count("--split") > 0; }

}  // namespace msd
