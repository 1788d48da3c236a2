// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/engine/tape_model.h"

namespace msd::test {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

void TapeModel::compute(const Step& step, const Values& parameters, Values& buffers, Result* result,
                        std::vector<int>* choices) const {
  const Shape &from = buffers_[at(step.in.buffer)], &to = buffers_[at(step.out.buffer)];
  const auto x = [&](std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    const std::int64_t row = (n * from.h + h) * from.w + w;
    return buffers[at(step.in.buffer)][at(row * from.c + step.in.first + c)];
  };
  const auto y = [&](std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) -> double& {
    const std::int64_t row = (n * to.h + h) * to.w + w;
    return buffers[at(step.out.buffer)][at(row * to.c + step.out.first + c)];
  };
  const auto for_each_output = [&](auto&& body) {
    for (std::int64_t n = 0; n < n_; ++n) {
      for (std::int64_t h = 0; h < to.h; ++h) {
        for (std::int64_t w = 0; w < to.w; ++w) {
          for (std::int64_t c = 0; c < step.out.channels; ++c) body(n, h, w, c);
        }
      }
    }
  };
  const auto parameter = [&](std::size_t which, std::int64_t i) {
    return parameters[step.parameter + which][at(i)];
  };
  switch (step.kind) {
    case Kind::convolution: {
      const ConvGeometry& g = step.conv;
      for_each_output([&](auto n, auto h, auto w, auto o) {
        double sum = step.bias ? parameter(1, o) : 0.0;
        for (std::int64_t i = 0; i < g.kernel * g.kernel; ++i) {
          const std::int64_t ky = i / g.kernel, kx = i % g.kernel;
          const std::int64_t sy = h * g.stride + ky - g.padding, sx = w * g.stride + kx - g.padding;
          if (sy < 0 || sy >= from.h || sx < 0 || sx >= from.w) continue;
          for (std::int64_t c = 0; c < g.cin; ++c) {
            sum += x(n, sy, sx, c) * parameter(0, (o * g.kernel * g.kernel + i) * g.cin + c);
          }
        }
        y(n, h, w, o) = sum;
      });
      return;
    }
    case Kind::norm: {
      const auto count = static_cast<double>(n_ * to.h * to.w);
      std::vector<double> mean(at(step.in.channels)), var(mean);
      for_each_output(
          [&](auto n, auto h, auto w, auto c) { mean[at(c)] += x(n, h, w, c) / count; });
      for_each_output([&](auto n, auto h, auto w, auto c) {
        var[at(c)] += std::pow(x(n, h, w, c) - mean[at(c)], 2) / count;
      });
      for_each_output([&](auto n, auto h, auto w, auto c) {
        const double normal = (x(n, h, w, c) - mean[at(c)]) / std::sqrt(var[at(c)] + kEpsilon);
        const double value = parameter(0, c) * normal + parameter(1, c);
        y(n, h, w, c) = std::max(0.0, value);
        if (choices != nullptr) choices->push_back(value > 0);
      });
      if (result == nullptr) return;
      result->statistics.resize(2 * norms_);
      for (std::size_t c = 0; c < mean.size(); ++c) {  // from 0 and 1, one step
        result->statistics[2 * step.norm].push_back(kMomentum * mean[c]);
        result->statistics[2 * step.norm + 1].push_back(1 - kMomentum +
                                                        kMomentum * var[c] * count / (count - 1));
      }
      return;
    }
    case Kind::max_pool:
      for_each_output([&](auto n, auto h, auto w, auto c) {
        double best = -std::numeric_limits<double>::infinity();
        int winner = 0;
        for (int i = 0; i < 9; ++i) {
          const std::int64_t sy = 2 * h + i / 3 - 1, sx = 2 * w + i % 3 - 1;
          if (sy < 0 || sy >= from.h || sx < 0 || sx >= from.w || x(n, sy, sx, c) <= best) continue;
          best = x(n, sy, sx, c);
          winner = i;
        }
        y(n, h, w, c) = best;
        if (choices != nullptr) choices->push_back(winner);
      });
      return;
    case Kind::average_pool:
      for_each_output([&](auto n, auto, auto, auto c) {
        double sum = 0.0;
        for (std::int64_t i = 0; i < from.h * from.w; ++i) sum += x(n, i / from.w, i % from.w, c);
        y(n, 0, 0, c) = sum / static_cast<double>(from.h * from.w);
      });
      return;
    case Kind::linear:
      for_each_output([&](auto n, auto h, auto w, auto o) {
        double sum = parameter(1, o);
        for (std::int64_t c = 0; c < step.in.channels; ++c) {
          sum += x(n, h, w, c) * parameter(0, o * step.in.channels + c);
        }
        y(n, h, w, o) = sum;
      });
      return;
  }
}

double TapeModel::evaluate(const Values& parameters, Result* result,
                           std::vector<int>* choices) const {
  Values buffers;
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    const Shape& shape = buffers_[b];
    const auto id = static_cast<std::int32_t>(b);
    buffers.push_back(shape.is_input ? inputs_.at(id)
                                     : std::vector<double>(at(n_ * shape.h * shape.w * shape.c)));
  }
  for (const std::vector<Step>& group : groups_) {
    for (const Step& step : group) compute(step, parameters, buffers, result, choices);
  }
  double total = 0.0;
  for (const Loss& loss : losses_) {
    const Shape& shape = buffers_[at(loss.logits.buffer)];
    double mean = 0.0;
    for (std::int64_t n = 0; n < n_; ++n) {
      const double* z = buffers[at(loss.logits.buffer)].data() + n * shape.c + loss.logits.first;
      double sum = 0.0;
      for (std::int64_t c = 0; c < loss.logits.channels; ++c) sum += std::exp(z[c]);
      mean += (std::log(sum) - z[label_of(n, loss.logits.channels)]) / static_cast<double>(n_);
    }
    total += loss.weight * mean;
    if (result != nullptr) result->losses.push_back(mean);
  }
  return total;
}

TapeModel::Result TapeModel::reference() const {
  Result result;
  evaluate(parameters_, &result, nullptr);
  result.gradients.resize(parameters_.size());
  Values moved = parameters_;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    std::vector<double> gradient;
    bool depends = false;
    for (double& element : moved[p]) {
      const double original = element;
      double slope = 0.0;
      // Smaller steps where a ReLU or a maximum changes its choice between the two points.
      for (const double h : {1e-5, 1e-6, 1e-7}) {
        std::vector<int> above, below;
        element = original + h;
        const double high = evaluate(moved, nullptr, &above);
        element = original - h;
        const double low = evaluate(moved, nullptr, &below);
        element = original;
        slope = (high - low) / (2 * h);
        depends = depends || high != low;
        if (above == below) break;
      }
      gradient.push_back(slope);
    }
    if (depends) result.gradients[p] = gradient;
  }
  return result;
}

}  // namespace msd::test
