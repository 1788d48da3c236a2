// SPDX-License-Identifier: MIT
#include "apps/train/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>

#include "apps/common/usage.h"

namespace msd {
namespace {

// Whether steps on --tensors obey an option; of the groups below only what is named.
bool works_on_tensors(const CLI::Option& option) {
  const std::string& group = option.get_group();
  const std::string name = option.get_name();
  if (group != "Data" && group != "Training" && group != "Run") return true;
  const std::initializer_list<std::string_view> obeyed = {
      "--lr",        "--momentum",     "--nesterov", "--weight-decay",
      "--precision", "--exit-weights", "--weights",  "--optimizer-state"};
  return std::find(obeyed.begin(), obeyed.end(), name) != obeyed.end();
}

// What --keep says; nothing where it says neither "all" nor a number.
std::optional<std::int64_t> kept_epochs(const std::string& text) {
  if (text == "all") return std::numeric_limits<std::int64_t>::max();
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || at != end || count < 0) return std::nullopt;
  return count;
}

}  // namespace

void TrainCommand::add_to(CLI::App& app) {
  app_ = &app;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  model.add_to(app);
  data.add_to(app, /*for_training=*/true);
  training.add_to(app);
  app.add_option("--workers", workers, "Threads that prepare batches; 0: none beside the training")
      ->check(CLI::Range(0, 256))
      ->capture_default_str()
      ->group("Data");
  runtime.add_to(app);
  add_run(app);
  add_instead_of_run(app);
  app.callback([this] { check_usage(); });
}

void TrainCommand::add_run(CLI::App& app) {
  const std::string run = "Run";
  app.add_option("--run-dir", run_dir, "Folder for configuration, metrics and checkpoints")
      ->capture_default_str()
      ->group(run);
  CLI::Option* resume_option =
      app.add_flag("--resume", resume, "Continue from the run folder's latest checkpoint")
          ->group(run);
  app.add_option("--save-every", save_every,
                 "Save after this many steps too; 0: only after each epoch and when stopped")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group(run);
  app.add_option("--keep", keep,
                 "Keep the checkpoints of the last N epochs too, or of all; 0: none beside latest, "
                 "previous and best. Removes older ones only where N > 0")
      ->check([](const std::string& text) {
        return kept_epochs(text).has_value() ? "" : "--keep is " + text + "; give a number or all";
      })
      ->capture_default_str()
      ->group(run);
  app.add_option("--on-save-error", on_save_error,
                 "Where a save fails: stop the run, or continue and try again at the next save")
      ->check(CLI::IsMember({"stop", "continue"}))
      ->capture_default_str()
      ->group(run);
  app.add_option("--log-interval", log_interval,
                 "Steps between two looks at the loss, each of which waits for a GPU; 0: 1 on the "
                 "CPU, 50 on a GPU")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group(run);
  app.add_flag("--overwrite", overwrite, "Start anew in a run folder that holds a run")
      ->excludes(resume_option)
      ->group(run);
  CLI::Option* weights_option =
      app.add_option("--weights", weights,
                     "Start from these weights: a checkpoint, or a file of PyTorch or Torch7")
          ->excludes(resume_option)
          ->group(run);
  app.add_flag("--optimizer-state", optimizer_state,
               "Take momentum and settings of SGD (rate, momentum, Nesterov, weight decay) from "
               "--weights too; options given go over the settings")
      ->needs(weights_option)
      ->group(run);
  app.add_flag("--json", json, "Print JSON, one object a line")->group(run);
}

void TrainCommand::add_instead_of_run(CLI::App& app) {
  const std::string other = "Instead of a run";
  CLI::Option* dry_run_option =
      app.add_flag("--dry-run", dry_run,
                   "Print parameters and costs of every exit of the network that these options "
                   "describe, and stop")
          ->excludes(app.get_option("--resume"))
          ->group(other);
  CLI::Option* bandwidth_option =
      app.add_option("--bandwidth", bandwidth,
                     "Of a device, in bytes a second as 4.3T: --dry-run prints the least time that "
                     "a training step and the stages of inference can take there")
          ->needs(dry_run_option)
          ->group(other);
  CLI::Option* rate_option =
      app.add_option("--matrix-rate", matrix_rate,
                     "Of the same device at --precision, in FLOP a second as 790T")
          ->needs(bandwidth_option)
          ->group(other);
  bandwidth_option->needs(rate_option);
  CLI::Option* tensors_option =
      app.add_option("--tensors", tensors,
                     "Train on `input` [n,3,h,w] (normalised) and `labels` [n] of this safetensors "
                     "file, with --lr fixed")
          ->needs(app.get_option("--weights"))
          ->excludes(dry_run_option)
          ->group(other);
  CLI::Option* save_option =
      app.add_option("--save-state", save_state, "Where to write every parameter and buffer")
          ->needs(tensors_option)
          ->group(other);
  tensors_option->needs(save_option);
  app.add_option("--steps", steps, "Steps to take on --tensors")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->needs(tensors_option)
      ->capture_default_str()
      ->group(other);
}

SavePolicy TrainCommand::save_policy() const {
  return {save_every, *kept_epochs(keep), on_save_error == "continue"};
}

void TrainCommand::check_usage() const {
  data.check_usage();
  training.check_usage();
  if (!weights.empty()) refuse_without_effect(*app_, {"--init"}, "--weights");
  if (!tensors.empty()) {
    for (const CLI::Option* option : app_->get_options()) {
      if (!works_on_tensors(*option)) {
        refuse_without_effect(*app_, {option->get_name().c_str()}, "--tensors");
      }
    }
  }
}

}  // namespace msd
