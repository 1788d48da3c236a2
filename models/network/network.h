// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/parameters.h"
#include "models/network/architecture.h"

namespace msd {

inline constexpr double kBatchNormEpsilon = 1e-5;
inline constexpr double kBatchNormMomentum = 0.1;

/// How convolution weights start: He's normal by fan-out, sqrt(2/(k*k*cout)) (the paper's), or by
/// fan-in, sqrt(2/(k*k*cin)).
enum class Initialization : std::uint8_t { he_fan_out, he_fan_in };

/// An architecture with its parameters and batch-norm statistics, under PyTorch's names.
class Network {
 public:
  /// Ids of one operation's parameters in parameters(); -1 where it has none.
  struct OperationParameters {
    ParameterSet::Id weight = -1, bias = -1;
    ParameterSet::Id gamma = -1, beta = -1;
    ParameterSet::Id running_mean = -1, running_var = -1, batches_tracked = -1;
  };

  /// Parameters are zero until initialize() or parameters().load_state().
  Network(const MsdnetConfig& config, Allocator& allocator, DType dtype = DType::f32);

  const MsdnetConfig& config() const { return architecture_.config; }
  const Architecture& architecture() const { return architecture_; }
  DType dtype() const { return parameters_.dtype(); }
  ParameterSet& parameters() { return parameters_; }
  const ParameterSet& parameters() const { return parameters_; }
  const OperationParameters& of(std::size_t operation) const { return ids_[operation]; }

  /// Convolutions as `how`, their biases and linear weights U(+-1/sqrt(fan_in)), linear biases 0,
  /// batch norm 1 and 0; the same bits for the same seed.
  void initialize(std::uint64_t seed, Initialization how = Initialization::he_fan_out);

 private:
  Architecture architecture_;
  ParameterSet parameters_;
  std::vector<OperationParameters> ids_;  // one an operation
};

}  // namespace msd
