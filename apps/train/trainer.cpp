// SPDX-License-Identifier: MIT
#include "apps/train/trainer.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "engine/files/file.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

LoaderOptions loader_options(const TrainingRun& run) {
  LoaderOptions options;
  options.batch_size = run.options.batch_size;
  options.drop_last = run.options.drop_last;
  options.shuffle = true;
  options.augmentation = run.options.augmentation();
  options.seed = run.options.seed;
  options.dtype = run.options.precision.parameters();
  options.workers = run.workers;
  options.mean = run.description.preprocessing.mean;
  options.std = run.description.preprocessing.std;
  return options;
}

// Throws ConfigError where an epoch's last batch of `rest` images is too small to train on.
void require_last_batch(const TrainingRun& run, std::int64_t images, std::int64_t rest) {
  const std::int64_t least = smallest_batch(run.network.architecture());
  if (rest >= least) return;
  throw ConfigError(message("the ", images, " training images in batches of --batch-size ",
                            run.options.batch_size, " leave ", rest, " for the last one, but the ",
                            "network ends in maps of 1x1, of which batch norm needs ", least,
                            " images; use another --batch-size or --holdout, or --drop-last"));
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

nlohmann::json figures(const ExitCounts& counts, const std::vector<double>& exit_weights) {
  const std::vector<double> losses = counts.mean_losses();
  const AnytimeAccuracy accuracy = counts.accuracy();
  return {{"samples", counts.samples},
          {"loss", std::inner_product(losses.begin(), losses.end(), exit_weights.begin(), 0.0)},
          {"losses", losses},
          {"top1", accuracy.top1},
          {"top5", accuracy.top5},
          {"ensemble_top1", accuracy.ensemble_top1},
          {"ensemble_top5", accuracy.ensemble_top5}};
}

}  // namespace

void to_json(nlohmann::json& json, const TrainingState& state) {
  json = {{"epoch", state.epoch},
          {"step", state.step},
          {"counts", state.counts},
          {"best", state.best},
          {"best_epoch", state.best_epoch}};
}

void from_json(const nlohmann::json& json, TrainingState& state) {
  read_member(json, "epoch", state.epoch);
  read_member(json, "step", state.step);
  json.at("counts").get_to(state.counts);
  read_member(json, "best", state.best);
  read_member(json, "best_epoch", state.best_epoch);
}

Trainer::Trainer(const TrainingRun& run, Progress& progress)
    : run_(run),
      progress_(progress),
      exit_weights_(run.options.exit_weights(run.network.architecture().exits())),
      feed_(run.runtime, run.data.train, run.split.train, loader_options(run)),
      schedule_(run.options.schedule(), run.options.epochs, feed_.steps_per_epoch()),
      sgd_(run.runtime, run.network.parameters(), run.options.sgd()),
      counter_(run.runtime, run.network.architecture().exits(), run.network.config().classes,
               run.options.batch_size, run.options.precision.activations()) {
  // Made now, so that what does not fit fails before the first step.
  const auto images = static_cast<std::int64_t>(run.split.train.size());
  const std::int64_t rest = images % run.options.batch_size;
  if (rest != 0 && !run.options.drop_last) require_last_batch(run, images, rest);
  if (images >= run.options.batch_size) step_of(run.options.batch_size);
  if (rest != 0 && !run.options.drop_last) step_of(rest);
}

TrainingStep& Trainer::step_of(std::int64_t batch) {
  std::unique_ptr<TrainingStep>& step = steps_[batch];
  if (step == nullptr) {
    step = std::make_unique<TrainingStep>(run_.runtime, run_.network, batch, exit_weights_,
                                          run_.options.precision.activations(), sgd_, counter_);
  }
  return *step;
}

std::string Trainer::change_of_rates(const TrainingState& state, std::int64_t epochs_before) const {
  RecipeOptions options = run_.options;
  options.epochs = epochs_before;
  const std::int64_t steps = feed_.steps_per_epoch();
  const Schedule before(options.schedule(), epochs_before, steps);
  const auto differ = [&](std::int64_t at) {
    return schedule_.lr(at / steps, at % steps) != before.lr(at / steps, at % steps);
  };
  const std::int64_t done = state.epoch * steps + state.step;
  std::int64_t first = 0;
  while (first < done && !differ(first)) ++first;
  if (first == done) return "";
  return message("the rate goes on as in a run of ", run_.options.epochs, " epochs, next ",
                 schedule_.lr(done / steps, done % steps), ", last ",
                 before.lr((done - 1) / steps, (done - 1) % steps),
                 "; such a run would have had other rates from epoch ", first / steps + 1,
                 " on, so this one does not end as it would");
}

bool Trainer::run(const RunFolder& folder, TrainingState state, const std::atomic<bool>& stop) {
  folder_ = &folder;
  stop_ = &stop;
  state_ = std::move(state);
  if (state_.step == 0) state_.counts = ExitCounts(run_.network.architecture().exits());
  counter_.set(state_.counts);
  metrics_.emplace(folder_->metrics(), state_.epoch);
  folder_->trim_epochs(state_.epoch, run_.save.kept_epochs);
  saved_best_ = {state_.best, state_.best_epoch};
  progress_.start_run(run_.options.epochs, feed_.steps_per_epoch(), state_.epoch, state_.step);
  while (state_.epoch < run_.options.epochs) {
    if (!run_epoch() || !finish_epoch()) {
      save_latest(/*is_last=*/true);
      return false;
    }
  }
  return true;
}

bool Trainer::run_epoch() {
  start_ = std::chrono::steady_clock::now();
  epoch_images_ = 0;
  feed_.start_epoch(state_.epoch, state_.step);
  while (const Batch* batch = feed_.next()) {
    step(*batch, schedule_.lr(state_.epoch, state_.step));
    ++state_.step;
    epoch_images_ += batch->images.n;
    if (++steps_since_look_ >= run_.log_interval) look();
    if (stop_->load(std::memory_order_relaxed)) return false;
    if (run_.save.every_steps > 0 && ++steps_since_save_ == run_.save.every_steps) {
      save_latest(/*is_last=*/false);
    }
  }
  look();
  return true;
}

void Trainer::step(const Batch& batch, double lr) {
  TrainingStep& training = step_of(batch.images.n);
  feed_.put(training.graph().input(), training.graph().labels());
  sgd_.set_lr(lr);
  training.run();
  last_step_ = &training;
}

void Trainer::look() {
  if (last_step_ == nullptr) return;
  const double loss = last_step_->graph().loss();
  if (!std::isfinite(loss)) {
    const ParameterSet& set = run_.network.parameters();
    const std::int64_t bad = first_not_finite(run_.runtime, set.gradients());
    throw Error(message(
        "the loss is ", loss, " at step ", state_.step, " of epoch ", state_.epoch + 1,
        steps_since_look_ > 1 ? message(" or up to ", steps_since_look_ - 1, " steps before")
                              : std::string(),
        bad < 0 ? std::string() : ", first in the gradient of " + set.name_of_element(bad),
        "; use a lower --lr or --warmup-epochs; the last checkpoint is unharmed"));
  }
  state_.counts = counter_.counts();
  last_step_ = nullptr;
  steps_since_look_ = 0;
  epoch_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  progress_.step({state_.epoch, state_.step, epoch_images_, epoch_seconds_, feed_.wait_seconds(),
                  state_.counts});
}

// In this order: the line and the best tell of the epoch that ends, a checkpoint of where the next
// one begins, and what is printed has been saved.
bool Trainer::finish_epoch() {
  nlohmann::json line = training_line();
  bool is_best = false;
  try {
    is_best = evaluate_epoch(line);
  } catch (const Stopped&) {
    return false;  // saved as it is, after its last step, the epoch is evaluated when resumed
  }
  start_next_epoch();
  metrics_->add(line);
  std::vector<std::filesystem::path> also;
  if (run_.save.kept_epochs > 0) also.push_back(folder_->epoch(state_.epoch));
  if (is_best) also.push_back(folder_->best());
  save(also, state_.epoch == run_.options.epochs);
  progress_.finish_epoch(line);
  return true;
}

nlohmann::json Trainer::training_line() const {
  // A run that was stopped while evaluating has no step of this epoch to do again, and no time.
  const auto in_time = [&](double value) {
    return epoch_seconds_ > 0.0 ? value / epoch_seconds_ : 0.0;
  };
  return {{"epoch", state_.epoch + 1},
          {"lr", schedule_.lr(state_.epoch, state_.step - 1)},
          {"seconds", epoch_seconds_},
          {"images_per_second", in_time(static_cast<double>(epoch_images_))},
          {"data_wait_share", in_time(feed_.wait_seconds())},
          {"train", figures(state_.counts, exit_weights_)}};
}

bool Trainer::evaluate_epoch(nlohmann::json& line) {
  const auto evaluated = [&](const ImageSet& set, const std::vector<std::int64_t>& indices) {
    return evaluate(run_.runtime, run_.network, run_.options.precision.activations(), set, indices,
                    run_.description, /*batch=*/0, stop_)
        .counts;
  };
  bool is_best = true;  // without a hold-out the last epoch counts, never the test set's best
  double score = state_.best;
  if (!run_.split.holdout.empty()) {
    const ExitCounts holdout = evaluated(run_.data.train, run_.split.holdout);
    line["holdout"] = figures(holdout, exit_weights_);
    score = mean(holdout.accuracy().top1);
    is_best = score > state_.best;
  }
  if (run_.data.test.size() > 0) {
    line["test"] = figures(evaluated(run_.data.test, all_images(run_.data.test)), exit_weights_);
  }
  if (is_best) {
    state_.best = score;
    state_.best_epoch = state_.epoch;
  }
  return is_best;
}

void Trainer::start_next_epoch() {
  ++state_.epoch;
  state_.step = 0;
  state_.counts = ExitCounts(run_.network.architecture().exits());
  counter_.set(state_.counts);
}

void Trainer::save_latest(bool is_last) {
  look();
  save({}, is_last);
}

void Trainer::save(const std::vector<std::filesystem::path>& also, bool is_last) {
  steps_since_save_ = 0;
  try {
    write(also);
  } catch (const IoError& error) {
    if (!run_.save.go_on_after_error) throw;
    if (!is_last) {
      progress_.warn(message(error.what(), "; training goes on, trying again at the next save"));
      // A later epoch is the best again where it is better than what the file holds.
      std::tie(state_.best, state_.best_epoch) = saved_best_;
      return;
    }
    progress_.warn(message(error.what(), "; trying once more"));
    try {
      write(also);
    } catch (const IoError& again) {
      throw IoError(message("the end of the run is not saved: ", again.what()));
    }
  }
}

// In this order a latest checkpoint never tells of an epoch whose line or other files are missing.
// The first file is written, the others are links to it.
void Trainer::write(const std::vector<std::filesystem::path>& also) {
  metrics_->write();
  nlohmann::json training = run_.stored;
  training["state"] = state_;
  std::vector<std::filesystem::path> files = also;
  files.push_back(folder_->latest());
  for (const std::filesystem::path& file : files) {
    const std::filesystem::path previous =
        file == folder_->latest() ? folder_->previous() : std::filesystem::path();
    if (file == files.front()) {
      write_checkpoint(file, run_.network, run_.description, training, previous);
    } else {
      link_file_atomically(files.front(), file, previous);
    }
    if (file == folder_->best()) saved_best_ = {state_.best, state_.best_epoch};
  }
  folder_->trim_epochs(state_.epoch, run_.save.kept_epochs);
}

}  // namespace msd
