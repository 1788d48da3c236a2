// SPDX-License-Identifier: MIT
#pragma once

#include "apps/infer/exit_rule.h"
#include "models/network/network.h"

namespace msd {

/// Runs the normalised images of --tensors through the rule's exits and writes what each says to
/// --logits: logitsK [n,classes] for exit K, in the network's arithmetic. Throws FormatError naming
/// the file.
void infer_tensors(Runtime& runtime, const Network& network, const InferOptions& options,
                   const ExitRule& rule);

}  // namespace msd
