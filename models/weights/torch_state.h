// SPDX-License-Identifier: MIT
#pragma once

#include "engine/files/torch_file.h"
#include "models/weights/state_dict.h"

namespace msd {

/// The state dictionary of an MSDNet in what torch.save() wrote: the object itself or a dictionary
/// anywhere in it, or the tensors of a whole model; the momentum of an SGD beside it; and a list of
/// what else there is. Where there are several networks, `entry` names one, or see
/// choose_network(). Names are normalised. Throws FormatError saying what the file holds instead.
StateDict torch_state(const PickleValue& root, const std::string& entry = {});

/// Whether torch_state() would find a state dictionary, one or more.
bool has_torch_state(const PickleValue& root);

/// `state` as a checkpoint of the public PyTorch implementation has it: "state_dict", in PyTorch's
/// order, and where there are velocities "optimizer", SGD's state dictionary. Opens with
/// weights_only=True (with an optimiser, since PyTorch 2.0). module_prefix: with DataParallel's
/// "module." before each name.
TorchObject torch_checkpoint(const StateDict& state, bool module_prefix);

}  // namespace msd
