// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>

#include "engine/files/torch7_file.h"
#include "engine/tensor.h"

namespace msd {

/// The state of an MSDNet that the Torch7 implementation saved, under this project's names:
/// contiguous, on the host, of the file's float types. `root` is the network (a
/// nn.JointTrainModule), a container or nn.DataParallelTable around it, or a table that holds one
/// such. Biases that Torch7's convolutions lack where networks here have one are 0, and so are the
/// counters of batches. Throws FormatError naming the module that is not as in an MSDNet.
std::map<std::string, Tensor> torch7_state(const Torch7Value& root);

/// Whether torch7_state() would find a network, one or more.
bool has_torch7_network(const Torch7Value& root);

/// Whether there is a module of any network.
bool has_torch7_module(const Torch7Value& root);

}  // namespace msd
