// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/view.h"
#include "models/network/architecture.h"

namespace msd {

/// The least a device must do for some work: bytes that cross its memory, and floating-point
/// operations of its matrix units (two a mul-add).
struct Work {
  double bytes = 0.0, flops = 0.0;
  Work& operator+=(const Work& other);
};

/// What a device can do in a second, at best.
struct DeviceRates {
  double bytes_per_second = 0.0, flops_per_second = 0.0;
};

/// Seconds below which the work cannot be done: bytes and arithmetic at the same time.
double floor_seconds(const Work& work, const DeviceRates& rates);

/// One training step with activations of `dtype` and fp32 parameters: every convolution reads its
/// operands and writes its result once in each of its three passes, every batch norm in each of its
/// three (normalisation, sums, gradient), and SGD its buffers. The convolution leaves batch norm's
/// statistics beside its result: no fourth pass, 16 bytes for 64 or 128 rows of a channel. Nothing
/// stays in a cache from one pass to the next; fusing more passes goes below this floor.
Work training_step_work(const Architecture& net, std::int64_t batch, DType dtype);

/// What the stage of each exit adds to the ones before it (lazy): every convolution, pooling and
/// linear layer reads its input and weights once and writes its output once.
std::vector<Work> stage_work(const Architecture& net, std::int64_t batch, DType dtype);

}  // namespace msd
