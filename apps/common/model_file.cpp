// SPDX-License-Identifier: MIT
#include "apps/common/model_file.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "kernels/check.h"

namespace msd {
namespace {

// What the run that made the checkpoint stored of its data; null where nothing did.
nlohmann::json stored_data(const Checkpoint& checkpoint) {
  if (!checkpoint.training->is_object()) return {};
  return checkpoint.training->value("data", nlohmann::json());
}

// Positions of held-out images mean nothing in other data of the same name.
void require_trained_on(const Checkpoint& checkpoint, const Dataset& data) {
  const nlohmann::json stored = stored_data(checkpoint);
  if (!stored.is_object() || stored.value("dataset", "") != data.name) return;
  const std::string trained = checkpoint.training->value("data_fingerprint", data.fingerprint);
  if (trained == data.fingerprint) return;
  throw ConfigError(message(checkpoint.path.string(), " was trained on other images (", trained,
                            ") than this ", data.name, " holds (", data.fingerprint,
                            "), so that its hold-out is not to be found here; give the --data it "
                            "was trained on, or --split"));
}

// The classes of some data sets are whatever lies in their folder: another one may have as many,
// and mean others.
void require_same_classes(const Checkpoint& checkpoint, const Dataset& data) {
  if (!checkpoint.data || checkpoint.data->dataset != data.name) return;
  const DatasetRow* known_set = find_dataset(data.name);
  if (known_set == nullptr || !known_set->classes_vary()) return;
  const std::vector<std::string>& trained = checkpoint.data->class_names;
  const auto [known, here] = std::mismatch(trained.begin(), trained.end(), data.class_names.begin(),
                                           data.class_names.end());
  if (known == trained.end() && here == data.class_names.end()) return;
  const auto name = [](auto at, auto end) { return at == end ? std::string("missing") : *at; };
  throw ConfigError(message(checkpoint.path.string(),
                            " knows other classes than the folder holds: class ",
                            known - trained.begin(), " is ", name(known, trained.end()),
                            " there and ", name(here, data.class_names.end()),
                            " here; give a --data folder with the classes it was trained on"));
}

}  // namespace

std::optional<BaseNetwork> base_network(const Checkpoint& checkpoint, const ModelOptions& options) {
  if (options.preset_given()) return std::nullopt;
  return BaseNetwork{
      checkpoint.config ? *checkpoint.config : deduce_config(checkpoint, options.hints()).config,
      "that of " + checkpoint.path.string()};
}

ChosenNetwork choose_network(const Checkpoint& checkpoint, const ModelOptions& options,
                             std::optional<std::int64_t> dataset_classes) {
  return options.choose(base_network(checkpoint, options), /*dataset=*/"", dataset_classes);
}

Network load_network(Runtime& runtime, const Checkpoint& checkpoint, const ModelOptions& options,
                     std::optional<std::int64_t> dataset_classes, DType dtype) {
  Network network(choose_network(checkpoint, options, dataset_classes).config, runtime.allocator(),
                  dtype);
  checkpoint.load_weights(network);
  return network;
}

void tell_network(const Checkpoint& checkpoint, const ModelOptions& options,
                  std::optional<std::int64_t> dataset_classes) {
  if (!options.any_given()) return;
  const ChosenNetwork chosen = choose_network(checkpoint, options, dataset_classes);
  std::cerr << options.program() << ": " << chosen.line() << '\n';
}

Dataset load_dataset(Runtime& runtime, const Checkpoint& checkpoint, const ModelOptions& model,
                     DataOptions& options) {
  nlohmann::json stored = stored_data(checkpoint);
  if (stored.is_null() && checkpoint.data) stored = {{"dataset", checkpoint.data->dataset}};
  if (!options.dataset_given()) {
    const std::string name = stored.is_object() ? stored.value("dataset", "") : "";
    if (find_dataset(name) == nullptr) {
      throw ConfigError(message(checkpoint.path.string(),
                                name.empty()
                                    ? " does not say what it was trained on"
                                    : " was trained on " + name + ", which is not built in",
                                "; give --dataset"));
    }
  }
  options.set_defaults(stored);
  options.fit_images_to(model.image_size());
  Dataset data = options.load(runtime);
  require_same_classes(checkpoint, data);
  return data;
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

DataDescription data_description(const Checkpoint& checkpoint, const Dataset& data) {
  return checkpoint.data ? *checkpoint.data : data_description(data);
}

}  // namespace msd
