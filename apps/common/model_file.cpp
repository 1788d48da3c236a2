// SPDX-License-Identifier: MIT
#include "apps/common/model_file.h"

#include "apps/common/evaluate.h"
#include "kernels/error.h"

namespace msd {
namespace {

// What the run that made the checkpoint stored of its data; null where nothing did.
nlohmann::json stored_data(const Checkpoint& checkpoint) {
  if (!checkpoint.training.is_object()) return {};
  return checkpoint.training.value("data", nlohmann::json());
}

// Positions of held-out images mean nothing in other data of the same name.
void require_trained_on(const Checkpoint& checkpoint, const Dataset& data) {
  const nlohmann::json stored = stored_data(checkpoint);
  if (!stored.is_object() || stored.value("dataset", "") != data.name) return;
  const std::string trained = checkpoint.training.value("data_fingerprint", data.fingerprint);
  if (trained == data.fingerprint) return;
  throw ConfigError(message(checkpoint.path.string(), " was trained on other images (", trained,
                            ") than this ", data.name, " holds (", data.fingerprint,
                            "), so that its hold-out is not to be found here; give the --data it "
                            "was trained on, or --split"));
}

}  // namespace

Network load_network(Runtime& runtime, const Checkpoint& checkpoint, const ModelOptions& options,
                     std::optional<std::int64_t> dataset_classes, DType dtype) {
  if (!checkpoint.config && !options.given()) {
    throw ConfigError(message(checkpoint.path.string(),
                              " does not say which network it is for: give --preset or the model "
                              "options"));
  }
  Network network(options.resolve(checkpoint.config, dataset_classes), runtime.allocator(), dtype);
  checkpoint.load_weights(network);
  return network;
}

Dataset load_dataset(Runtime& runtime, const Checkpoint& checkpoint, DataOptions& options) {
  nlohmann::json stored = stored_data(checkpoint);
  if (stored.is_null() && checkpoint.data) stored = {{"dataset", checkpoint.data->dataset}};
  if (!options.dataset_given()) {
    const std::string name = stored.is_object() ? stored.value("dataset", "") : "";
    if (name != "synthetic" && name != "cifar10" && name != "cifar100") {
      throw ConfigError(message(checkpoint.path.string(),
                                name.empty()
                                    ? " does not say what it was trained on"
                                    : " was trained on " + name + ", which is not built in",
                                "; give --dataset"));
    }
  }
  options.set_defaults(stored);
  return options.load(runtime);
}

ImageSelection select_images(const std::string& part, const Dataset& data,
                             const DataOptions& options, const Checkpoint& checkpoint,
                             bool split_given) {
  ImageSelection selection{part, part == "test" ? &data.test : &data.train, {}};
  if (part == "test") {
    selection.indices = all_images(data.test);
  } else {
    if (part == "holdout" && !split_given && stored_data(checkpoint).is_null()) {
      throw ConfigError(message(checkpoint.path.string(),
                                " does not say which training images were held out: give --split "
                                "with the split of its training"));
    }
    if (!split_given) require_trained_on(checkpoint, data);
    Split split = options.split(data);
    selection.indices = std::move(part == "holdout" ? split.holdout : split.train);
  }
  if (!selection.indices.empty()) return selection;
  if (part == "holdout") {
    throw ConfigError(message(checkpoint.path.string(),
                              " was trained with --holdout 0, on all training images: train again "
                              "with a hold-out, or use the images of --split or of part train, "
                              "which the network knows and is too sure of"));
  }
  throw ConfigError(message(data.name, " has no ", part, " images"));
}

DataDescription description_of(const Checkpoint& checkpoint, const Dataset& data) {
  return checkpoint.data ? *checkpoint.data : describe(data);
}

}  // namespace msd
