// SPDX-License-Identifier: MIT
#include "tests/engine/tape_model.h"

#include <string>

#include "engine/autograd/batchnorm.h"
#include "engine/autograd/convolution.h"
#include "engine/autograd/linear.h"
#include "engine/autograd/loss.h"
#include "engine/autograd/pooling.h"
#include "engine/random.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

constexpr PoolGeometry kPool = {3, 2, 1};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Variable TapeModel::buffer(std::int64_t h, std::int64_t w, std::int64_t c, Options options) {
  buffers_.push_back({h, w, c, options, false});
  return {static_cast<std::int32_t>(buffers_.size()) - 1, 0, c};
}

Variable TapeModel::input(std::int64_t h, std::int64_t w, std::int64_t c) {
  const Variable v = buffer(h, w, c, {.requires_gradient = false, .keep = true});
  buffers_.back().is_input = true;
  RandomStream random(seed_++, RandomPurpose::test);
  std::vector<double>& values = inputs_[v.buffer];
  for (std::int64_t i = 0; i < elems(v); ++i) values.push_back(random.uniform(-1.0, 1.0));
  return v;
}

std::int64_t TapeModel::elems(const Variable& v) const {
  const Shape& shape = buffers_[at(v.buffer)];
  return n_ * shape.h * shape.w * v.channels;
}

std::size_t TapeModel::add_parameter(std::int64_t count, double low, double high) {
  RandomStream random(seed_++, RandomPurpose::test);
  parameters_.emplace_back();
  for (std::int64_t i = 0; i < count; ++i) parameters_.back().push_back(random.uniform(low, high));
  return parameters_.size() - 1;
}

void TapeModel::convolutions(const std::vector<Conv>& group) {
  groups_.emplace_back();
  for (const Conv& c : group) {
    const ConvGeometry g = {c.in.channels, c.out.channels, c.kernel, c.stride, c.kernel / 2};
    Step step = {Kind::convolution, c.in, c.out, g};
    step.parameter = add_parameter(g.weight_elems(), -0.5, 0.5);
    step.bias = c.bias;
    if (c.bias) add_parameter(g.cout, -0.5, 0.5);
    groups_.back().push_back(step);
  }
}

void TapeModel::norms(const std::vector<Pair>& group) {
  groups_.emplace_back();
  for (const Pair& p : group) {
    Step step = {Kind::norm, p.in, p.out, {}};
    step.parameter = add_parameter(p.in.channels, 0.5, 1.5);
    add_parameter(p.in.channels, -0.5, 0.5);
    step.norm = norms_++;
    groups_.back().push_back(step);
  }
}

void TapeModel::max_pools(const std::vector<Pair>& group) {
  groups_.emplace_back();
  for (const Pair& p : group) groups_.back().push_back({Kind::max_pool, p.in, p.out, {}});
}

void TapeModel::average_pools(const std::vector<Pair>& group) {
  groups_.emplace_back();
  for (const Pair& p : group) groups_.back().push_back({Kind::average_pool, p.in, p.out, {}});
}

void TapeModel::linears(const std::vector<Pair>& group) {
  groups_.emplace_back();
  for (const Pair& p : group) {
    Step step = {Kind::linear, p.in, p.out, {}};
    step.parameter = add_parameter(p.in.channels * p.out.channels, -1.0, 1.0);
    add_parameter(p.out.channels, -1.0, 1.0);
    groups_.back().push_back(step);
  }
}

void TapeModel::losses(const std::vector<Loss>& group) { losses_ = group; }

TapeModel::Recorded::Recorded(const TapeModel& model, Runtime& runtime, DType dtype)
    : model_(model), tape_(runtime, parameters_, dtype) {
  using Id = ParameterSet::Id;
  std::vector<Id> ids, statistics;
  for (std::size_t p = 0; p < model.parameters_.size(); ++p) {
    ids.push_back(parameters_.add_parameter(
        "p" + std::to_string(p), {static_cast<std::int64_t>(model.parameters_[p].size())},
        ParameterLayout::plain));
  }
  for (const auto& group : model.groups_) {
    for (const Step& step : group) {
      if (step.kind != Kind::norm) continue;
      const std::string name = "norm" + std::to_string(step.norm);
      statistics.push_back(parameters_.add_statistic(name + ".mean", step.in.channels, 0.0));
      statistics.push_back(parameters_.add_statistic(name + ".var", step.in.channels, 1.0));
    }
  }
  parameters_.allocate(runtime.allocator(), dtype);
  for (std::size_t p = 0; p < ids.size(); ++p) {
    parameters_.set_parameter(ids[p], model.parameters_[p]);
  }
  for (const Shape& shape : model.buffers_) {
    tape_.buffer(model.n_, shape.h, shape.w, shape.c, shape.options);
  }
  for (const auto& group : model.groups_) {
    const auto each = [&](auto& node, auto&& add) {
      for (const Step& step : group) add(node, step);
    };
    switch (group.at(0).kind) {
      case Kind::convolution:
        each(tape_.record<ConvolutionNode>(), [&](auto& node, const Step& s) {
          node.add(s.in, s.out, s.conv, {ids[s.parameter], s.bias ? ids[s.parameter + 1] : -1});
        });
        break;
      case Kind::norm:
        each(tape_.record<BatchNormNode>(kMomentum, kEpsilon), [&](auto& node, const Step& s) {
          node.add(s.in, s.out,
                   {ids[s.parameter], ids[s.parameter + 1], statistics[2 * s.norm],
                    statistics[2 * s.norm + 1]});
        });
        break;
      case Kind::max_pool:
        each(tape_.record<MaxPoolNode>(),
             [&](auto& node, const Step& s) { node.add(s.in, s.out, kPool); });
        break;
      case Kind::average_pool:
        each(tape_.record<GlobalAvgPoolNode>(),
             [&](auto& node, const Step& s) { node.add(s.in, s.out); });
        break;
      case Kind::linear:
        each(tape_.record<LinearNode>(), [&](auto& node, const Step& s) {
          node.add(s.in, s.out, {ids[s.parameter], ids[s.parameter + 1]});
        });
        break;
    }
  }
  losses_.resize(model.losses_.size());
  const std::int64_t classes = model.losses_.at(0).logits.channels;
  for (std::int64_t n = 0; n < model.n_; ++n) labels_.push_back(TapeModel::label_of(n, classes));
  auto& root = tape_.record<CrossEntropyNode>(labels_.data(), losses_.data());
  for (const Loss& loss : model.losses_) root.add(loss.logits, loss.weight);
  tape_.compile();
  for (const auto& [buffer, values] : model.inputs_) {
    const View view = tape_.value({buffer, 0, model.buffers_[at(buffer)].c});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto flat = static_cast<std::int64_t>(i);
      const std::int64_t element = flat / view.c * view.pitch + flat % view.c;
      if (dtype == DType::f64) {
        view.as<double>()[element] = values[i];
      } else {
        view.as<float>()[element] = static_cast<float>(values[i]);
      }
    }
  }
}

TapeModel::Result TapeModel::Recorded::result() const {
  Result result;
  for (std::size_t i = 0; i < losses_.size(); ++i) {
    result.losses.push_back(
        tape_.dtype() == DType::f64
            ? losses_[i]
            : static_cast<double>(reinterpret_cast<const float*>(losses_.data())[i]));
  }
  const auto gradients = gradients_of(parameters_);
  const auto state = by_name(parameters_.state());
  for (std::size_t p = 0; p < model_.parameters_.size(); ++p) {
    const auto found = gradients.find("p" + std::to_string(p));
    result.gradients.push_back(found == gradients.end() ? std::vector<double>{}
                                                        : doubles(found->second));
  }
  for (std::size_t i = 0; i < model_.norms_; ++i) {
    result.statistics.push_back(doubles(state.at("norm" + std::to_string(i) + ".mean")));
    result.statistics.push_back(doubles(state.at("norm" + std::to_string(i) + ".var")));
  }
  return result;
}

}  // namespace msd::test
