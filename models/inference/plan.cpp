// SPDX-License-Identifier: MIT
#include "models/inference/plan.h"

#include "engine/memory_layout.h"
#include "models/inference/batchnorm_folding.h"
#include "models/network/cost.h"

namespace msd {
namespace {

using Kind = Operation::Kind;

FoldedConvolution folded_convolution(const ParameterSet& set,
                                     const Network::OperationParameters& ids) {
  return fold_batchnorm(
      set.host_value(ids.weight), ids.bias >= 0 ? set.host_value(ids.bias) : Tensor(),
      {set.host_value(ids.gamma), set.host_value(ids.beta), set.host_statistic(ids.running_mean),
       set.host_statistic(ids.running_var)});
}

}  // namespace

Plan::Plan(Runtime& runtime, const Network& network, DType activations)
    : Plan(runtime, network, all_exits(network.architecture()), activations) {}

Plan::Plan(Runtime& runtime, const Network& network, std::vector<std::int64_t> exits,
           DType activations)
    : architecture_(network.architecture()), dtype_(activations), exits_(std::move(exits)) {
  MSD_CHECK(accumulator_of(activations) == network.dtype(), "activations of ", name(activations),
            " for parameters of ", name(network.dtype()));
  check_exits(architecture_, exits_);
  const std::size_t count = architecture_.operations.size();
  std::vector<bool> done(count, false);
  for (std::size_t s = 0; s < exits_.size(); ++s) {
    const std::vector<std::int64_t> so_far(exits_.begin(),
                                           exits_.begin() + static_cast<std::ptrdiff_t>(s) + 1);
    const std::vector<bool> required = required_operations(architecture_, so_far);
    std::vector<std::size_t> stage;
    for (std::size_t i = 0; i < count; ++i) {
      if (required[i] && !done[i]) stage.push_back(i);
    }
    done = required;
    stages_.push_back(std::move(stage));
  }

  weights_.resize(count);
  const ParameterSet& set = network.parameters();
  const auto upload = [&](const Tensor& host) {
    const Tensor tensor = Tensor::empty(runtime.allocator(), host.shape(), host.dtype());
    tensor.copy_from(host);
    return tensor;
  };
  const auto keep = [&](const Tensor& tensor) {
    storage_.push_back(tensor);
    return tensor.data();
  };
  for (std::size_t i = 0; i < count; ++i) {
    const Operation& op = architecture_.operations[i];
    const Network::OperationParameters& ids = network.of(i);
    if (!done[i]) continue;
    if (op.kind == Kind::linear) {
      weights_[i] = {keep(upload(set.host_value(ids.weight))),
                     keep(upload(set.host_value(ids.bias)))};
    } else if (op.kind == Kind::conv_bn_relu) {
      const FoldedConvolution folded = folded_convolution(set, ids);
      const Tensor weight = upload(folded.weight);
      const Tensor packed = Tensor::empty(runtime.allocator(),
                                          {conv_packed_elems(op.conv, ConvPass::forward)}, dtype_);
      const ConvPackArgs pack = {weight.data(), packed.data(), op.conv, ConvPass::forward, dtype_};
      conv_pack(runtime.context(), {&pack, 1});
      weights_[i] = {keep(packed), keep(upload(folded.bias))};
    }
  }
  runtime.synchronize();  // sessions on other streams may read the weights from here on
}

std::int64_t Plan::mul_adds(std::int64_t stage) const {
  std::int64_t total = 0;
  for (std::int64_t s = 0; s <= stage; ++s) {
    for (const std::size_t i : stages_.at(static_cast<std::size_t>(s))) {
      total += msd::mul_adds(architecture_, architecture_.operations[i]);
    }
  }
  return total;
}

std::int64_t preferred_batch(const Runtime& runtime) {
  return runtime.device().type == DeviceType::cuda ? 256 : 8 * runtime.threads();
}

PlanSession::PlanSession(Runtime& runtime, const Plan& plan, std::int64_t batch)
    : runtime_(runtime), plan_(plan), batch_(batch) {
  MSD_CHECK(batch >= 1, "a plan session of batch ", batch);
  place_buffers();
  const Architecture& net = plan.architecture_;
  stages_.resize(plan.stages_.size());
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    Stage& stage = stages_[s];
    std::int64_t group = -1;
    for (const std::size_t i : plan.stages_[s]) {
      const Operation& op = net.operations[i];
      if (op.group != group) stage.steps.emplace_back();
      group = op.group;
      bind(op, plan.weights_[i], stage.steps.back());
    }
    stage.name = message("stage of exit ", plan.exits_[s] + 1);
    for (const Step& calls : stage.steps) stage.mul_adds += mul_adds_of(calls);
    stage.replay = Replay(runtime, [this, s] {
      for (const Step& calls : stages_[s].steps) run(calls);
    });
  }
}

void PlanSession::place_buffers() {
  const Architecture& net = plan_.architecture_;
  for (const FeatureBuffer& b : net.buffers) {
    buffers_.push_back({nullptr, plan_.dtype_, batch_, b.size, b.size, b.channels,
                        row_pitch(b.channels, plan_.dtype_)});
  }
  // A buffer lives from the first operation that writes it to the last that reads it, over all
  // stages; the image from the start, logits to the end.
  std::vector<MemoryRequest> requests;
  for (const View& b : buffers_) requests.push_back({b.rows() * b.pitch * size_bytes(b.dtype)});
  std::int64_t step = 0;
  const auto touch = [&](const Feature& feature) {
    requests[static_cast<std::size_t>(feature.buffer)].touch(step);
  };
  const auto touch_logits = [&] {
    for (const std::int64_t exit : plan_.exits_) touch(net.logits[static_cast<std::size_t>(exit)]);
  };
  touch({0, 0, 3});
  // Logits are apart from the image: the next one may be filled in before they are read.
  touch_logits();
  for (const std::vector<std::size_t>& stage : plan_.stages_) {
    for (std::size_t k = 0; k < stage.size(); ++k) {
      const Operation& op = net.operations[stage[k]];
      // The operations of one group run together: their buffers must be apart.
      if (k > 0 && op.group != net.operations[stage[k - 1]].group) ++step;
      touch(op.input);
      touch(op.output);
    }
    ++step;
  }
  touch_logits();
  const MemoryLayout memory = lay_out_memory(requests);
  arena_ = Buffer(runtime_.allocator(), memory.total_bytes);
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    if (requests[b].used()) buffers_[b].data = arena_.data() + memory.offsets[b];
  }
}

View PlanSession::view(const Feature& feature) const {
  return buffers_[static_cast<std::size_t>(feature.buffer)].channels(feature.first,
                                                                     feature.channels);
}

void PlanSession::bind(const Operation& op, const Plan::Weights& weights, Step& step) const {
  const View x = view(op.input), y = view(op.output);
  switch (op.kind) {
    case Kind::conv_bn_relu:
      step.convolutions.push_back({x, weights.packed, weights.bias, y, op.conv, true});
      return;
    case Kind::max_pool:
      step.max_pools.push_back({x, y, op.pool});
      return;
    case Kind::global_avg_pool:
      step.avg_pools.push_back({x, y, x.h, x.w});
      return;
    case Kind::linear:
      step.linears.push_back({x, weights.packed, weights.bias, y});
      return;
  }
}

std::int64_t PlanSession::mul_adds_of(const Step& step) {
  std::int64_t total = 0;
  for (const ConvForwardArgs& args : step.convolutions) {
    total += args.y.h * args.y.w * args.geometry.weight_elems();
  }
  for (const LinearForwardArgs& args : step.linears) total += args.x.c * args.y.c;
  return total;
}

void PlanSession::run(const Step& step) const {
  ExecutionContext& context = runtime_.context();
  if (!step.convolutions.empty()) conv_forward(context, step.convolutions);
  if (!step.max_pools.empty()) max_pool_forward(context, step.max_pools);
  if (!step.avg_pools.empty()) avg_pool_forward(context, step.avg_pools);
  if (!step.linears.empty()) linear_forward(context, step.linears);
}

View PlanSession::run_stage(std::int64_t stage) {
  MSD_CHECK((stage == 0 || stage == next_stage_) && stage < plan_.stages(), "stage ", stage,
            " after stage ", next_stage_ - 1, " of ", plan_.stages());
  if (stage == 0) executed_mul_adds_ = 0;
  Stage& next = stages_.at(static_cast<std::size_t>(stage));
  const cuda::ProfilerRange range(next.name.c_str());
  next.replay.run();
  executed_mul_adds_ += next.mul_adds;
  next_stage_ = stage + 1;
  const std::int64_t exit = plan_.exits_[static_cast<std::size_t>(stage)];
  return view(plan_.architecture_.logits[static_cast<std::size_t>(exit)]);
}

}  // namespace msd
