// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "apps/common/preprocessing_options.h"
#include "models/weights/checkpoint.h"

namespace msd {

/// read_checkpoint(), which see; what was decided in reading the file goes to stderr, a line each.
Checkpoint read_weights(const std::filesystem::path& path, const std::string& entry = {});
/// Says that of a checkpoint that was read.
void print_notes(const Checkpoint& checkpoint);

/// The network that ModelOptions::choose starts from: the checkpoint's; where the file does not
/// say, the one its tensors' names and shapes and the options on the command line imply; none where
/// these name a preset. Throws ConfigError where the tensors are no MSDNet's, or not of one with
/// these options.
std::optional<BaseNetwork> base_network(const Checkpoint& checkpoint, const ModelOptions& options);

/// What the command line makes of it. dataset_classes: as in ModelOptions::choose.
ChosenNetwork choose_network(const Checkpoint& checkpoint, const ModelOptions& options,
                             std::optional<std::int64_t> dataset_classes);

/// The checkpoint's network with its weights. Model options on the command line go over
/// base_network(). dataset_classes: as in ModelOptions::choose.
Network load_network(Runtime& runtime, const Checkpoint& checkpoint, const ModelOptions& options,
                     std::optional<std::int64_t> dataset_classes, DType dtype = DType::f32);

/// Where the command line says anything of the network, says on stderr what load_network() made of
/// it.
void tell_network(const Checkpoint& checkpoint, const ModelOptions& options,
                  std::optional<std::int64_t> dataset_classes);

/// What the network must know of its images.
struct ChosenDescription {
  DataDescription data;
  /// For people: what was taken where neither the weights' file nor options said it, or other than
  /// the file says. Empty where all is as the file says.
  std::string note;
};

/// The checkpoint's description, or the usual one for this network and `dataset` (empty: none), and
/// the options over it.
ChosenDescription choose_description(const Checkpoint& checkpoint, const MsdnetConfig& config,
                                     const PreprocessingOptions& options,
                                     const std::string& dataset);
/// The same before the data are loaded, which may decide the number of classes.
ChosenDescription choose_description(const Checkpoint& checkpoint, const ModelOptions& model,
                                     const PreprocessingOptions& options, const DataOptions& data);

/// Loads the data of the command line, its images brought to the network's input as `description`
/// says; what it leaves open is as the checkpoint's run had it. Throws ConfigError where neither
/// says which data, and where their classes are not those that the description names.
Dataset load_dataset(Runtime& runtime, const Checkpoint& checkpoint,
                     const DataDescription& description, DataOptions& options);

/// Some images of a set.
struct ImageSelection {
  std::string part;
  const ImageSet* set = nullptr;
  std::vector<std::int64_t> indices;  // positions in the set
};

/// The images of part "train", "holdout" or "test". split_given: --split is on the command line.
/// Throws ConfigError where there are none, or where nothing tells which images the network's
/// training held out, or the data are not those it saw.
ImageSelection select_images(const std::string& part, const Dataset& data,
                             const DataOptions& options, const Checkpoint& checkpoint,
                             bool split_given);

}  // namespace msd
