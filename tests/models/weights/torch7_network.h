// SPDX-License-Identifier: MIT
// MSDNets as the Torch7 implementation (gaohuang/MSDNet) builds and saves them, from a state
// dictionary under this project's names.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/network/config.h"
#include "tests/models/fixtures.h"
#include "tests/support/torch7_writer.h"

namespace msd::test {

/// How the tree is written, where it can be in more than one way.
struct Torch7Style {
  int version = 1;           // of the classes; 0: none is written
  bool cuda = false;         // torch.Cuda*Tensor
  bool flat = false;         // all f32 tensors in one storage, as after getParameters()
  bool matrix = false;       // convolutions are nn.SpatialConvolutionMM
  bool running_std = false;  // batch norm of before version 2
  bool affine = true;        // batch norm has weight and bias
  std::map<std::string, std::string> classes;  // written instead of others
  /// Values instead of the right ones: of fields of convolutions, batch norms and joins, and
  /// "pool", "pool stride", "pool padding" and "average" of the poolings' windows.
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> shared;  // tensors that are another one, by name
  /// Writes what is around the network; nullptr: an nn.Sequential, as upstream.
  std::function<void(Torch7Writer&, const std::function<void()>& network)> around;
};

/// A convolution has a bias where `state` has one for it.
std::vector<std::byte> torch7_network(const MsdnetConfig& config, const Tensors& state,
                                      const Torch7Style& style = {});

/// What torch7_state() makes of that file.
Tensors torch7_round_trip(const MsdnetConfig& config, const Tensors& state,
                          const Torch7Style& style = {});

}  // namespace msd::test
