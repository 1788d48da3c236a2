// SPDX-License-Identifier: MIT
#include "apps/eval/eval_options.h"

#include <filesystem>

namespace msd {

void EvalOptions::add_to(CommandLine& line) {
  line_ = &line;
  line.option("--weights", weights,
              "A checkpoint, or weights in safetensors or of PyTorch or Torch7")
      .required()
      .group("Network");
  runtime.add_to(line);
  precision.add_to(line, "Execution");
  line.option("--batch-size", batch_size,
              "Images evaluated at once, 0: 8 a thread; changes no result")
      .range(0, 65536)
      .show_default()
      .group("Execution");

  data.add_to(line, /*for_training=*/false);
  line.find("--dataset").default_text("the checkpoint's");
  line.find("--data").default_text("the checkpoint's");
  line.find("--split").default_text("the checkpoint's");
  const std::vector<std::string> parts = {"test", "holdout", "train"};
  line.option("--part", part, "Images to evaluate on").one_of(parts).show_default().group("Data");
  preprocessing.add_to(line, /*with_class_names=*/true);

  const std::string group = "Evaluation";
  line.option("--mode", mode,
              "anytime: every exit, alone and as a running ensemble; budget: thresholds for 39 "
              "budgets and what they give")
      .one_of({"anytime", "budget"})
      .show_default()
      .group(group);
  line.option("--fit-part", fit_part, "budget: images the thresholds are fitted on")
      .one_of(parts)
      .show_default()
      .group(group);
  line.option("--time-images", time_images,
              "anytime: images timed, at batch 1 on one thread; the median counts; 0: none")
      .at_least(0)
      .show_default()
      .group(group);

  line.option("--thresholds", thresholds_, "budget: file to write the thresholds to")
      .default_text("thresholds.json beside the weights")
      .group("Output");
  line.option("--output", output,
              "Also write the rows: to a file ending in .csv or .json, or both to a folder")
      .group("Output");
  const Option format = line.option("--format", format_, "Of what is printed")
                            .one_of({"table", "json", "csv"})
                            .show_default()
                            .group("Output");
  line.flag("--json", json_, "The same as --format json").excludes(format).group("Output");
  model.add_to(line);
  line.find("--preset").default_text("the checkpoint's network");
  line.on_parsed([this] { check_usage(); });
}

void EvalOptions::check_usage() const {
  preprocessing.check_usage();
  if (mode == "budget") {
    line_->refuse_without_effect({"--time-images"}, "--mode budget");
    return;
  }
  line_->refuse_without_effect({"--fit-part", "--thresholds"}, "--mode anytime");
  if (part == "test") line_->refuse_without_effect({"--split"}, "--part test");
}

ReportFormat EvalOptions::format() const {
  if (json_ || format_ == "json") return ReportFormat::json;
  return format_ == "csv" ? ReportFormat::csv : ReportFormat::table;
}

std::string EvalOptions::thresholds_path() const {
  if (!thresholds_.empty()) return thresholds_;
  return (std::filesystem::path(weights).parent_path() / "thresholds.json").string();
}

bool EvalOptions::split_given() const { return line_->given("--split"); }

}  // namespace msd
