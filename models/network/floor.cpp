// SPDX-License-Identifier: MIT
#include "models/network/floor.h"

#include <algorithm>

#include "kernels/contracts/convolution.h"
#include "models/network/cost.h"
#include "models/network/stages.h"

namespace msd {
namespace {

constexpr double kFloat = 4.0;  // bytes of a parameter

/// What one operation moves, in elements of a batch.
struct Operands {
  double x, y, weights;
};

Operands operands(const Architecture& net, const Operation& op, std::int64_t batch) {
  const auto elems = [&](const Feature& feature) {
    const auto size =
        static_cast<double>(net.buffers[static_cast<std::size_t>(feature.buffer)].size);
    return static_cast<double>(batch * feature.channels) * size * size;
  };
  return {elems(op.input), elems(op.output), static_cast<double>(parameters(op))};
}

/// What its convolution leaves for batch norm.
double statistics_bytes(const Architecture& net, const Operation& op, std::int64_t batch,
                        DType dtype) {
  const std::int64_t size = net.buffers[static_cast<std::size_t>(op.output.buffer)].size;
  const std::int64_t channels = op.output.channels;
  return static_cast<double>(
      batch_statistics_bytes({nullptr, dtype, batch, size, size, channels, channels}));
}

/// Of one of the operation's parameters, as inference keeps them.
double parameter_bytes(const Operation& op, DType dtype) {
  return visit(
      op, [&](const Convolution&) { return static_cast<double>(size_bytes(dtype)); },
      [](const MaxPool&) { return 0.0; }, [](const GlobalAveragePool&) { return 0.0; },
      [](const Linear&) { return kFloat; });
}

double flops(const Architecture& net, const Operation& op, std::int64_t batch) {
  return 2.0 * static_cast<double>(batch * mul_adds(net, op));
}

}  // namespace

Work& Work::operator+=(const Work& other) {
  bytes += other.bytes;
  flops += other.flops;
  return *this;
}

double floor_seconds(const Work& work, const DeviceRates& rates) {
  return std::max(work.bytes / rates.bytes_per_second, work.flops / rates.flops_per_second);
}

Work training_step_work(const Architecture& net, std::int64_t batch, DType dtype) {
  const auto size = static_cast<double>(size_bytes(dtype));
  Work work;
  for (const Operation& op : net.operations) {
    const Operands of = operands(net, op, batch);
    const double x = of.x, y = of.y, weights = of.weights;
    const bool first = op.input.buffer == 0;  // images have no gradient
    const auto pooling = [&] { work.bytes += 2.0 * (x + y) * size; };
    visit(
        op,
        [&](const Convolution&) {
          const double convolution = (first ? 2.0 : 3.0) * x + 3.0 * y - (first ? y : 0.0);
          const double batchnorm = 7.0 * y;  // x y | x dy | x dy dx
          work.bytes += (convolution + batchnorm) * size + 3.0 * weights * size;
          work.bytes += 2.0 * statistics_bytes(net, op, batch, dtype);
          work.flops += (first ? 2.0 : 3.0) * flops(net, op, batch);
        },
        [&](const MaxPool&) { pooling(); }, [&](const GlobalAveragePool&) { pooling(); },
        [&](const Linear&) {
          work.bytes += (3.0 * x + 3.0 * y) * size + 3.0 * weights * kFloat;
          work.flops += 3.0 * flops(net, op, batch);
        });
    work.bytes += 5.0 * weights * kFloat;  // SGD: weight, velocity both ways, gradient
  }
  return work;
}

std::vector<Work> stage_work(const Architecture& net, std::int64_t batch, DType dtype) {
  std::vector<Work> of_stages;
  const auto size = static_cast<double>(size_bytes(dtype));
  for (const std::vector<std::size_t>& stage : stages(net, all_exits(net))) {
    Work& work = of_stages.emplace_back();
    for (const std::size_t i : stage) {
      const Operation& op = net.operations[i];
      const auto [x, y, weights] = operands(net, op, batch);
      work += {(x + y) * size + weights * parameter_bytes(op, dtype), flops(net, op, batch)};
    }
  }
  return of_stages;
}

}  // namespace msd
