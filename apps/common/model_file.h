// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/data_options.h"
#include "apps/common/model_options.h"
#include "models/weights/checkpoint.h"

namespace msd {

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

/// Loads the data of the command line; what it leaves open is as the checkpoint's run had it.
/// Throws ConfigError where neither says which data, and where a folder's classes are not those of
/// the folder the checkpoint was trained on.
Dataset load_dataset(Runtime& runtime, const Checkpoint& checkpoint, const ModelOptions& model,
                     DataOptions& options);

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

/// What the network was trained with: the checkpoint's, or for a bare state dictionary `data`'s.
DataDescription data_description(const Checkpoint& checkpoint, const Dataset& data);

}  // namespace msd
