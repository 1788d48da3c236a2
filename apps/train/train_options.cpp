// SPDX-License-Identifier: MIT
#include "apps/train/train_options.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>

#include "apps/common/number_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

// Whether steps on --tensors obey an option; of the groups below only what is named.
bool works_on_tensors(Option option) {
  const std::string group = option.group_name();
  const std::string name = option.name();
  if (group != "Data" && group != "Training" && group != "Run" && !group.starts_with("Images")) {
    return true;
  }
  const std::initializer_list<std::string_view> obeyed = {
      "--lr",        "--momentum",     "--nesterov", "--weight-decay",
      "--precision", "--exit-weights", "--weights",  "--optimizer-state"};
  return std::find(obeyed.begin(), obeyed.end(), name) != obeyed.end();
}

// What --keep says; nothing where it says neither "all" nor a number.
std::optional<std::int64_t> kept_epochs(const std::string& text) {
  if (text == "all") return std::numeric_limits<std::int64_t>::max();
  std::int64_t count = 0;
  if (!read_number(text, count).empty() || count < 0) return std::nullopt;
  return count;
}

}  // namespace

void TrainOptions::add_to(CommandLine& line) {
  line_ = &line;
  line.last_one_wins();
  model.add_to(line, /*for_training=*/true);
  data.add_to(line, /*for_training=*/true);
  preprocessing.add_to(line, /*with_class_names=*/false);
  recipe.add_to(line);
  line.option("--workers", workers, "Threads that prepare batches; 0: none beside the training")
      .range(0, 256)
      .show_default()
      .group("Data");
  runtime.add_to(line);
  add_run(line);
  add_instead_of_run(line);
  line.on_parsed([this] { check_usage(); });
}

void TrainOptions::add_run(CommandLine& line) {
  const std::string run = "Run";
  line.option("--run-dir", run_dir, "Folder for configuration, metrics and checkpoints")
      .show_default()
      .group(run);
  const Option resume_option =
      line.flag("--resume", resume, "Continue from the run folder's latest checkpoint").group(run);
  line.option("--save-every", save_every,
              "Save after this many steps too; 0: only after each epoch and when stopped")
      .at_least(0)
      .show_default()
      .group(run);
  line.option("--keep", keep,
              "Keep the checkpoints of the last N epochs too, or of all; 0: none beside latest, "
              "previous and best. Removes older ones only where N > 0")
      .check([](const std::string& text) {
        return kept_epochs(text) ? ""
                                 : message('"', printable(text), "\" is neither a number nor all");
      })
      .show_default()
      .group(run);
  line.option("--on-save-error", on_save_error,
              "Where a save fails: stop the run, or continue and try again at the next save")
      .one_of({"stop", "continue"})
      .show_default()
      .group(run);
  line.option("--log-interval", log_interval,
              "Steps between two looks at the loss, each of which waits for a GPU; 0: 1 on the "
              "CPU, 50 on a GPU")
      .at_least(0)
      .show_default()
      .group(run);
  line.flag("--overwrite", overwrite, "Start anew in a run folder that holds a run")
      .excludes(resume_option)
      .group(run);
  const Option weights_option =
      line.option("--weights", weights,
                  "Start from these weights: a checkpoint, or a file of PyTorch or Torch7")
          .excludes(resume_option)
          .group(run);
  line.flag("--optimizer-state", optimizer_state,
            "Take momentum and settings of SGD (rate, momentum, Nesterov, weight decay) from "
            "--weights too; options given go over the settings")
      .needs(weights_option)
      .group(run);
  line.flag("--json", json, "Print JSON, one object a line: the network, then every epoch")
      .group(run);
}

void TrainOptions::add_instead_of_run(CommandLine& line) {
  const std::string other = "Instead of a run";
  const Option dry_run_option =
      line.flag("--dry-run", dry_run,
                "Print parameters and costs of every exit of the network that these options "
                "describe, and stop")
          .excludes(line.find("--resume"))
          .group(other);
  const Option bandwidth_option =
      line.quantity("--bandwidth", bandwidth,
                    "Of a device, in bytes a second as 4.3T: --dry-run prints the least time that "
                    "a training step and the stages of inference can take there")
          .needs(dry_run_option)
          .group(other);
  const Option rate_option =
      line.quantity("--matrix-rate", matrix_rate,
                    "Of the same device at --precision, in FLOP a second as 790T")
          .needs(bandwidth_option)
          .group(other);
  bandwidth_option.needs(rate_option);
  const Option tensors_option =
      line.option("--tensors", tensors,
                  "Train on `input` [n,3,h,w] (normalised) and `labels` [n] of this safetensors "
                  "file, with --lr fixed")
          .needs(line.find("--weights"))
          .excludes(dry_run_option)
          .group(other);
  const Option save_option =
      line.option("--save-state", save_state, "Where to write every parameter and buffer")
          .needs(tensors_option)
          .group(other);
  tensors_option.needs(save_option);
  line.option("--steps", steps, "Steps to take on --tensors")
      .at_least(0)
      .needs(tensors_option)
      .show_default()
      .group(other);
}

SavePolicy TrainOptions::save_policy() const {
  return {save_every, *kept_epochs(keep), on_save_error == "continue"};
}

void TrainOptions::check_usage() const {
  data.check_usage(resume);
  preprocessing.check_usage();
  recipe.check_usage();
  if (!weights.empty()) line_->refuse_without_effect({"--init"}, "--weights");
  if (!tensors.empty()) {
    for (const Option option : line_->options()) {
      if (!works_on_tensors(option)) line_->refuse_without_effect({option.name()}, "--tensors");
    }
  }
}

}  // namespace msd
