// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/contracts/convolution.h"
#include "kernels/contracts/pooling.h"
#include "models/network/config.h"

namespace msd {

/// Channels [first, first + channels) of one feature buffer.
struct Feature {
  std::int32_t buffer = 0;
  std::int64_t first = 0, channels = 0;
};

/// What one image needs of a buffer: size x size positions by channels.
struct FeatureBuffer {
  std::int64_t size = 0;
  std::int64_t channels = 0;
};

/// Convolution (bias where has_bias) -> batch norm -> ReLU.
struct Convolution {
  ConvGeometry geometry;
  bool has_bias = false;
  std::string batchnorm_name;  // its checkpoint prefix
};

struct MaxPool {
  PoolGeometry geometry;
};

/// The mean over all positions.
struct GlobalAveragePool {};

/// To the exit's logits, with bias.
struct Linear {};

/// One step of the network. The trunk's layers write channel slices of shared buffers; everything
/// else writes a buffer of its own.
struct Operation {
  /// The one list of what a network is made of. Whoever must tell the kinds apart does it by
  /// visit(), so that a new one compiles nowhere until every place knows it.
  using Kind = std::variant<Convolution, MaxPool, GlobalAveragePool, Linear>;

  Kind kind;
  Feature input, output;
  std::string name;        // checkpoint prefix of the convolution or linear layer
  std::int64_t block = 0;  // the block, and exit, it belongs to
  bool is_classifier = false;
  /// Operations that follow one another with the same group are of one kind and independent.
  std::int64_t group = 0;
};

/// A visitor made of one function an alternative.
template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

/// Calls the one of `cases` that takes the operation's kind, and returns what it does. There is one
/// for every kind, none of them generic.
template <typename... Cases>
decltype(auto) visit(const Operation& op, Cases&&... cases) {
  return std::visit(Overloaded{std::forward<Cases>(cases)...}, op.kind);
}

/// The network a configuration describes, as a list of operations in execution order: block 1,
/// its classifier, block 2, ... Training, inference, costs and checkpoints are all made from it.
struct Architecture {
  MsdnetConfig config;
  std::vector<FeatureBuffer> buffers;  // buffers[0] is the image, 3 channels
  std::vector<Operation> operations;
  std::vector<Feature> logits;  // one an exit

  std::int64_t exits() const { return static_cast<std::int64_t>(logits.size()); }
};

/// How many scales a layer reads and writes (the coarsest are kept), and whether a transition
/// follows it.
struct LayerScales {
  std::int64_t in = 0, out = 0;
  bool transition = false;
};

/// Of every layer of all blocks, the stem not counted.
std::vector<LayerScales> layer_scales(const MsdnetConfig& config);

/// Expands a configuration (section 3 and figure 2 of the paper). Throws ConfigError where it
/// cannot be built: an odd number of new channels to halve, an image too small for the scales.
Architecture make_architecture(const MsdnetConfig& config);

}  // namespace msd
