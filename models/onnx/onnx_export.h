// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/network/network.h"

namespace msd {

struct OnnxOptions {
  std::vector<std::int64_t> exits;  // indices from 0, rising; empty: all
  bool fold_batchnorm = true;       // into the convolutions, in double; if not: nodes of their own
};

/// The network in evaluation mode as an ONNX model (operator set 13), serialized. Input `input`
/// [batch,3,size,size], normalised images, the batch left open; outputs `logits1`, ... (the exit's
/// number from 1) [batch,classes]; all float32, a network of f64 rounded. It holds what the chosen
/// exits depend on and nothing else: a single exit comes without the earlier classifiers.
/// Initializers have the checkpoint's names and shapes; a folded convolution's bias is its name +
/// ".bias". Throws ConfigError where the model is larger than the format allows (2 GiB), ShapeError
/// for exits that are not there or not rising.
std::string onnx_model(const Network& network, const OnnxOptions& options,
                       const std::map<std::string, std::string>& metadata = {});

/// Writes onnx_model() atomically. Throws IoError too.
void write_onnx(const std::filesystem::path& path, const Network& network,
                const OnnxOptions& options,
                const std::map<std::string, std::string>& metadata = {});

}  // namespace msd
