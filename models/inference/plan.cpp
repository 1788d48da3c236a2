// SPDX-License-Identifier: MIT
#include "models/inference/plan.h"

#include "engine/memory_layout.h"
#include "models/inference/batchnorm_folding.h"
#include "models/network/cost.h"
#include "models/network/stages.h"

namespace msd {
namespace {

FoldedConvolution folded_convolution(const ParameterSet& set,
                                     const Network::OperationParameters& ids) {
  return fold_batchnorm(
      set.host_value(ids.weight), ids.bias >= 0 ? set.host_value(ids.bias) : Tensor(),
      {set.host_value(ids.gamma), set.host_value(ids.beta), set.host_statistic(ids.running_mean),
       set.host_statistic(ids.running_var)});
}

// Of one image, as its operands' shapes say; one for every op that a stage calls.
std::int64_t call_mul_adds(const ConvForwardArgs& args) {
  return args.y.h * args.y.w * args.geometry.weight_elems();
}
std::int64_t call_mul_adds(const MaxPoolForwardArgs&) { return 0; }
std::int64_t call_mul_adds(const AvgPoolForwardArgs&) { return 0; }
std::int64_t call_mul_adds(const LinearForwardArgs& args) { return args.x.c * args.y.c; }

}  // namespace

Plan::Plan(Runtime& runtime, const Network& network, DType activations)
    : Plan(runtime, network, all_exits(network.architecture()), activations) {}

Plan::Plan(Runtime& runtime, const Network& network, std::vector<std::int64_t> exits,
           DType activations)
    : architecture_(network.architecture()), dtype_(activations), exits_(std::move(exits)) {
  MSD_CHECK(accumulator_of(activations) == network.dtype(), "activations of ", name(activations),
            " for parameters of ", name(network.dtype()));
  check_exits(architecture_, exits_);
  stages_ = msd::stages(architecture_, exits_);

  weights_.resize(architecture_.operations.size());
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
  const auto prepare = [&](std::size_t i) {
    const Network::OperationParameters& ids = network.of(i);
    visit(
        architecture_.operations[i],
        [&](const Convolution& c) {
          const FoldedConvolution folded = folded_convolution(set, ids);
          const Tensor weight = upload(folded.weight);
          const Tensor packed = Tensor::empty(
              runtime.allocator(), {conv_packed_elems(c.geometry, ConvPass::forward)}, dtype_);
          const ConvPackArgs pack = {weight.data(), packed.data(), c.geometry, ConvPass::forward,
                                     dtype_};
          conv_pack(runtime.context(), {&pack, 1});
          weights_[i] = {keep(packed), keep(upload(folded.bias))};
        },
        [](const MaxPool&) {}, [](const GlobalAveragePool&) {},
        [&](const Linear&) {
          weights_[i] = {keep(upload(set.host_value(ids.weight))),
                         keep(upload(set.host_value(ids.bias)))};
        });
  };
  for (const std::vector<std::size_t>& stage : stages_) {
    for (const std::size_t i : stage) prepare(i);
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
  const std::vector<Operation>& operations = plan.architecture_.operations;
  stages_.resize(plan.stages_.size());
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    Stage& stage = stages_[s];
    const std::vector<std::size_t>& of = plan.stages_[s];
    for (std::size_t k = 0; k < of.size(); ++k) {
      const bool starts_group = k == 0 || operations[of[k]].group != operations[of[k - 1]].group;
      bind(of[k], starts_group, stage.steps);
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

void PlanSession::bind(std::size_t operation, bool starts_group, std::vector<Step>& steps) const {
  const Operation& op = plan_.architecture_.operations[operation];
  const Plan::Weights& weights = plan_.weights_[operation];
  const View x = view(op.input), y = view(op.output);
  const auto call = [&]<typename Args>(const Args& args) {
    if (starts_group) steps.emplace_back(std::vector<Args>());
    std::get<std::vector<Args>>(steps.back()).push_back(args);
  };
  visit(
      op,
      [&](const Convolution& c) {
        call(ConvForwardArgs{x, weights.packed, weights.bias, y, c.geometry, true});
      },
      [&](const MaxPool& p) {
        call(MaxPoolForwardArgs{x, y, p.geometry});
      },
      [&](const GlobalAveragePool&) {
        call(AvgPoolForwardArgs{x, y, x.h, x.w});
      },
      [&](const Linear&) {
        call(LinearForwardArgs{x, weights.packed, weights.bias, y});
      });
}

std::int64_t PlanSession::mul_adds_of(const Step& step) {
  return std::visit(
      [](const auto& calls) {
        std::int64_t total = 0;
        for (const auto& args : calls) total += call_mul_adds(args);
        return total;
      },
      step);
}

void PlanSession::run(const Step& step) const {
  ExecutionContext& context = runtime_.context();
  std::visit(
      Overloaded{
          [&](const std::vector<ConvForwardArgs>& calls) { conv_forward(context, calls); },
          [&](const std::vector<MaxPoolForwardArgs>& calls) { max_pool_forward(context, calls); },
          [&](const std::vector<AvgPoolForwardArgs>& calls) { avg_pool_forward(context, calls); },
          [&](const std::vector<LinearForwardArgs>& calls) { linear_forward(context, calls); }},
      step);
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
