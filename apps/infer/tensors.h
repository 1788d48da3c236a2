// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "apps/infer/infer_options.h"
#include "models/network/network.h"

namespace msd {

/// Runs the normalised images of --tensors through these exits, from 0, and writes what each says
/// to --logits: logitsK [n,classes] for exit K, in the network's arithmetic. Throws FormatError
/// naming the file.
void infer_tensors(Runtime& runtime, const Network& network, const InferOptions& options,
                   const std::vector<std::int64_t>& exits);

}  // namespace msd
