// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct ConvShape {
  std::int64_t n, h, w;
  ConvGeometry g;
  bool bias = true, relu = false;  // bias: dbias, backward
  bool accumulate = false;         // backward_data

  Shape x() const { return {n, h, w, g.cin}; }
  Shape y() const { return {n, g.out_size(h), g.out_size(w), g.cout}; }
  std::string text() const;
};

std::vector<double> convolution_y(const ConvShape& s, const std::vector<double>& x,
                                  const std::vector<double>& weight,
                                  const std::vector<double>& bias);
std::vector<double> convolution_dx(const ConvShape& s, const std::vector<double>& dy,
                                   const std::vector<double>& weight);
std::vector<double> convolution_dw(const ConvShape& s, const std::vector<double>& x,
                                   const std::vector<double>& dy);
std::vector<double> convolution_dbias(const ConvShape& s, const std::vector<double>& dy);

/// The operands of all four ops; a gradient lies where the operand does that it belongs to.
template <typename Memory>
struct Convolution {
  explicit Convolution(const ConvShape& s, const Content& c = {1}, const Gaps& g = {{3, 2}, {1, 4}},
                       Memory m = {})
      : shape(s), content(c), gaps(g), memory(m) {}
  Content later(std::uint64_t seeds) const {
    return {content.seed + seeds, content.low, content.high, content.whole};
  }
  void* bias_or_null() { return shape.bias ? bias.data() : nullptr; }
  std::vector<double> expected_y() const {
    return convolution_y(shape, x.doubles(), weight.doubles(), bias.doubles());
  }

  ConvShape shape;
  Content content;
  Gaps gaps;
  Memory memory;
  typename Memory::Rows x = memory.rows(shape.x(), gaps.x, content),
                        y = memory.rows(shape.y(), gaps.y, later(1));
  typename Memory::Values weight = memory.values(shape.g.weight_elems(), later(2)),
                          bias = memory.values(shape.g.cout, later(3));
};

template <typename Memory, ConvPass kPass>
struct ConvPack : Convolution<Memory> {
  using Convolution<Memory>::Convolution;
  MSD_CALL(conv_pack, this->packed)
  ConvPackArgs args() {
    const View to = packed.view();
    return {this->weight.data(), to.data, this->shape.g, kPass, to.dtype};
  }
  void pack(ExecutionContext& context) {
    const ConvPackArgs all = ConvPack::args();
    conv_pack(context, {&all, 1});
  }
  typename Memory::Rows packed = this->memory.shared_rows(conv_packed_elems(this->shape.g, kPass));
};

template <typename Memory>
struct ConvForward : ConvPack<Memory, ConvPass::forward> {
  using ConvPack<Memory, ConvPass::forward>::ConvPack;
  MSD_CALL(conv_forward, this->y)
  ConvForwardArgs args() {
    return {this->x.view(),
            this->packed.view().data,
            this->bias_or_null(),
            this->y.view(),
            this->shape.g,
            this->shape.relu,
            statistics};
  }
  auto& input() { return this->x; }
  auto& output() { return this->y; }
  BatchStatistics* statistics = nullptr;
};

template <typename Memory>
struct ConvBackwardData : ConvPack<Memory, ConvPass::backward_data> {
  using ConvPack<Memory, ConvPass::backward_data>::ConvPack;
  MSD_CALL(conv_backward_data, this->x)
  ConvBackwardDataArgs args() {
    return {this->y.view(), this->packed.view().data, this->x.view(), this->shape.g,
            this->shape.accumulate};
  }
  void start() {
    if (this->shape.accumulate) fill_again(this->x, this->content);
  }
  auto& input() { return this->y; }
  auto& output() { return this->x; }
};

template <typename Memory>
struct ConvBackwardWeight : Convolution<Memory> {
  using Convolution<Memory>::Convolution;
  MSD_CALL(conv_backward_weight, this->weight, this->bias)
  ConvBackwardWeightArgs args() {
    return {this->x.view(), this->y.view(),   this->weight.data(), this->bias_or_null(),
            this->shape.g,  workspace.data(), workspace_bytes};
  }
  DType dtype = this->x.view().dtype;
  std::int64_t workspace_bytes = conv_backward_weight_workspace_bytes(
      this->shape.g, this->shape.n, this->shape.h, this->shape.w, dtype);
  typename Memory::Values workspace =
      this->memory.values(workspace_bytes / size_bytes(accumulator_of(dtype)), {});
};

/// Room for the statistics a convolution leaves of its output.
template <typename Memory>
struct StatisticsRoom {
  explicit StatisticsRoom(const ConstView& output, const Content& content = {}, Memory memory = {})
      : bytes(batch_statistics_bytes(output)), room(memory.values(bytes / 4, content)) {}
  BatchStatistics of(const ConstView& output) { return {room.data(), bytes, output}; }
  BatchStatistics empty() { return of({}); }
  std::int64_t bytes;
  typename Memory::Values room;
};

}  // namespace msd::calls
