// SPDX-License-Identifier: MIT
#include "apps/common/model_file.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "apps/common/evaluate.h"
#include "engine/files/json_text.h"
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
  throw ConfigError(message(
      checkpoint.path.string(), " was trained on other images (", trained, ") than this ",
      data.name, " holds (", data.fingerprint,
      "), so that its hold-out is not to be found here; give the --data it "
      "was trained on, resized as it was then (older programs did it otherwise), or --split"));
}

// A name that stands for one class in the weights and for another in the data. Names that only one
// of them has are no contradiction: "tench" may be the other's "n01440764".
void require_no_contradiction(const Checkpoint& checkpoint, const std::vector<std::string>& names,
                              const Dataset& data) {
  std::multimap<std::string_view, std::size_t> known;  // ImageNet has two cranes
  for (std::size_t i = 0; i < names.size(); ++i) known.emplace(names[i], i);
  for (std::size_t i = 0; i < data.class_names.size(); ++i) {
    const auto [first, end] = known.equal_range(data.class_names[i]);
    if (first == end || std::any_of(first, end, [&](const auto& at) { return at.second == i; })) {
      continue;
    }
    throw ConfigError(message(data.class_names[i], " is class ", first->second,
                              " of the network of ", checkpoint.path.string(), " and class ", i,
                              " of ", data.name, "; its classes must be in the network's order"));
  }
}

// Whether all that are called so have the same classes.
bool has_fixed_classes(const std::string& dataset) {
  const DatasetRow* row = find_dataset(dataset);
  return row != nullptr && !row->classes_vary();
}

// names: of the network's classes. The classes of some data sets are whatever lies in their folder:
// another one may have as many, and mean others.
void require_same_classes(const Checkpoint& checkpoint, const std::vector<std::string>& names,
                          const Dataset& data) {
  require_no_contradiction(checkpoint, names, data);
  if (!checkpoint.data) return;
  const std::string& trained_on = checkpoint.data->dataset;
  if (has_fixed_classes(trained_on) && has_fixed_classes(data.name) && trained_on != data.name &&
      names != data.class_names) {
    throw ConfigError(message(checkpoint.path.string(), " is of a network for the classes of ",
                              trained_on, ", which those of ", data.name,
                              " are not; give --dataset ", trained_on));
  }
  if (trained_on != data.name || has_fixed_classes(data.name)) return;
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

Checkpoint read_weights(const std::filesystem::path& path, const std::string& entry) {
  Checkpoint checkpoint = read_checkpoint(path, entry);
  print_notes(checkpoint);
  return checkpoint;
}

void print_notes(const Checkpoint& checkpoint) {
  for (const std::string& note : checkpoint.state.notes) {
    std::cerr << "warning: " << checkpoint.path.string() << ": " << note << '\n';
  }
}

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

ChosenDescription choose_description(const Checkpoint& checkpoint, const MsdnetConfig& config,
                                     const PreprocessingOptions& options,
                                     const std::string& dataset) {
  ChosenDescription chosen;
  if (checkpoint.data) {
    chosen.data = *checkpoint.data;
  } else {
    chosen.data.preprocessing = usual_preprocessing(config, dataset);
  }
  const PreprocessingHints hints = options.hints();
  Preprocessing& preprocessing = chosen.data.preprocessing;
  preprocessing = with_hints(preprocessing, hints, config);
  if (auto names = options.class_names(config.classes); !names.empty()) {
    chosen.data.class_names = std::move(names);
  }
  const std::string used = preprocessing_text(preprocessing);
  if (!checkpoint.data) {
    chosen.note =
        message(checkpoint.path.string(), " does not say how its images are prepared: ", used,
                "; --resize, --interpolation, --normalise or --mean and --std ", "change it");
  } else if (preprocessing != checkpoint.data->preprocessing) {
    chosen.note =
        message("images are prepared otherwise than ", checkpoint.path.string(), " says: ", used);
  }
  return chosen;
}

ChosenDescription choose_description(const Checkpoint& checkpoint, const ModelOptions& model,
                                     const PreprocessingOptions& options, const DataOptions& data) {
  return choose_description(checkpoint,
                            choose_network(checkpoint, model, data.classes_of_name()).config,
                            options, data.dataset_given() ? data.name() : "");
}

Dataset load_dataset(Runtime& runtime, const Checkpoint& checkpoint,
                     const DataDescription& description, DataOptions& options) {
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
  reading_json(checkpoint.path.string() + ": what it says of its data",
               [&] { options.set_defaults(stored); });
  options.set_fit(description.preprocessing.fit);
  Dataset data = options.load(runtime);
  require_same_classes(checkpoint, description.class_names, data);
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

}  // namespace msd
