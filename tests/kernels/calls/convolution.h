// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

struct ConvShape {
  std::int64_t n, h, w;
  ConvGeometry g;

  Shape x() const { return {n, h, w, g.cin}; }
  Shape y() const { return {n, g.out_size(h), g.out_size(w), g.cout}; }
  std::string text() const;
};

std::vector<double> convolution_y(const ConvShape& s, const std::vector<double>& x,
                                  const std::vector<double>& weight,
                                  const std::vector<double>& bias, bool relu);
std::vector<double> convolution_dx(const ConvShape& s, const std::vector<double>& dy,
                                   const std::vector<double>& weight);
std::vector<double> convolution_dw(const ConvShape& s, const std::vector<double>& x,
                                   const std::vector<double>& dy);
std::vector<double> convolution_dbias(const ConvShape& s, const std::vector<double>& dy);

struct ConvGaps {
  Gap x = {3, 2}, y = {1, 4};
};

/// The operands of all four ops; a gradient lies where the operand does that it belongs to.
template <typename Memory>
struct Convolution {
  explicit Convolution(const ConvShape& s, const Content& content = {1}, const ConvGaps& gaps = {},
                       Memory memory = {})
      : shape(s),
        x_content(content),
        x(memory.rows(s.x(), gaps.x, content)),
        y(memory.rows(s.y(), gaps.y, later(content, 1))),
        weight(memory.values(s.g.weight_elems(), later(content, 2))),
        bias(memory.values(s.g.cout, later(content, 3))) {}
  static Content later(Content content, std::uint64_t seeds) {
    content.seed += seeds;
    return content;
  }

  ConvShape shape;
  Content x_content;
  typename Memory::Rows x, y;
  typename Memory::Values weight, bias;
};

template <typename Memory, ConvPass kPass>
struct ConvPack : Convolution<Memory> {
  explicit ConvPack(const ConvShape& s, const Content& content = {1}, const ConvGaps& gaps = {},
                    Memory memory = {})
      : Convolution<Memory>(s, content, gaps, memory),
        packed(memory.shared_rows(conv_packed_elems(s.g, kPass))) {}
  static constexpr auto* op = &conv_pack;
  static constexpr const char* kOutputs[] = {"packed"};
  ConvPackArgs args() {
    const View to = packed.view();
    return {this->weight.data(), to.data, this->shape.g, kPass, to.dtype};
  }
  auto outputs() { return std::tie(packed); }
  void pack(ExecutionContext& context) {
    const ConvPackArgs all = ConvPack::args();
    conv_pack(context, {&all, 1});
  }
  typename Memory::Rows packed;
};

template <typename Memory>
struct ConvForward : ConvPack<Memory, ConvPass::forward> {
  using ConvPack<Memory, ConvPass::forward>::ConvPack;
  static constexpr auto* op = &conv_forward;
  static constexpr const char* kOutputs[] = {"y"};
  ConvForwardArgs args() {
    return {this->x.view(),
            this->packed.view().data,
            with_bias ? this->bias.data() : nullptr,
            this->y.view(),
            this->shape.g,
            relu,
            statistics};
  }
  auto outputs() { return std::tie(this->y); }
  auto& input() { return this->x; }
  auto& output() { return this->y; }

  bool with_bias = true, relu = false;
  BatchStatistics* statistics = nullptr;
};

template <typename Memory>
struct ConvBackwardData : ConvPack<Memory, ConvPass::backward_data> {
  using ConvPack<Memory, ConvPass::backward_data>::ConvPack;
  static constexpr auto* op = &conv_backward_data;
  static constexpr const char* kOutputs[] = {"dx"};
  ConvBackwardDataArgs args() {
    return {this->y.view(), this->packed.view().data, this->x.view(), this->shape.g, accumulate};
  }
  auto outputs() { return std::tie(this->x); }
  void start() {
    if (accumulate) fill_again(this->x, this->x_content);
  }
  auto& input() { return this->y; }
  auto& output() { return this->x; }

  bool accumulate = false;
};

template <typename Memory>
struct ConvBackwardWeight : Convolution<Memory> {
  explicit ConvBackwardWeight(const ConvShape& s, const Content& content = {1},
                              const ConvGaps& gaps = {}, Memory memory = {})
      : Convolution<Memory>(s, content, gaps, memory),
        workspace_bytes(
            conv_backward_weight_workspace_bytes(s.g, s.n, s.h, s.w, this->x.view().dtype)),
        workspace(memory.values(workspace_bytes / size_bytes(accumulator_of(this->x.view().dtype)),
                                {})) {}
  static constexpr auto* op = &conv_backward_weight;
  static constexpr const char* kOutputs[] = {"dw", "dbias"};
  ConvBackwardWeightArgs args() {
    return {this->x.view(),      this->y.view(),
            this->weight.data(), with_bias ? this->bias.data() : nullptr,
            this->shape.g,       workspace.data(),
            workspace_bytes};
  }
  auto outputs() { return std::tie(this->weight, this->bias); }

  bool with_bias = true;
  std::int64_t workspace_bytes;
  typename Memory::Values workspace;
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
