// SPDX-License-Identifier: MIT
// Gradients of convolutions with bf16 activations.
#include <vector>

#include "tests/kernels/bfloat16_rows.h"

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

// Small integers, whose sums are exact in float: the order of sums, which differs, doesn't matter.
struct ConvCase {
  std::int64_t n, h, w;
  ConvGeometry g;
  Gap x_gap, dy_gap;  // for every width of copy
};
// Every tile of both ops, several splits of the rows.
const ConvCase kConvCases[] = {{1, 5, 7, {6, 6, 3, 1, 1}, {3, 2}, {0, 2}},
                               {2, 13, 12, {12, 12, 3, 1, 1}, {4, 4}, {2, 1}},
                               {2, 12, 13, {20, 24, 3, 2, 1}, {2, 2}, {8, 8}},
                               {3, 11, 9, {40, 40, 1, 1, 0}, {0, 0}, {4, 0}},
                               {1, 9, 8, {70, 6, 2, 3, 0}, {1, 1}, {2, 2}}};
constexpr std::int64_t kInts = 40;  // of a weight

class ConvBackwardDataBf16 : public OpTest {};
TEST_F(ConvBackwardDataBf16, RoundsWhatF32Gives) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.g;
    const std::int64_t elems = conv_packed_elems(g, ConvPass::backward_data);
    Bf16Rows dy(c.n, g.out_size(c.h), g.out_size(c.w), g.cout, c.dy_gap);
    Bf16Rows dx(c.n, c.h, c.w, g.cin, c.x_gap);
    const Operand<float> wide_dy = dy.integers(1).wide();
    Operand<float> weight = Operand<float>::vector(g.weight_elems());
    weight.integers(2, -kInts, kInts);
    std::vector<std::uint16_t, OperandAllocator<std::uint16_t>> packed(
        static_cast<std::size_t>(elems));
    Operand<float> wide_packed = Operand<float>::vector(elems);
    for (const bool accumulate : {false, true}) {
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        const auto pack = [&](void* to, DType dtype) {
          return ConvPackArgs{weight.data(), to, g, ConvPass::backward_data, dtype};
        };
        const ConvPackArgs packs[] = {pack(packed.data(), DType::bf16),
                                      pack(wide_packed.data(), DType::f32)};
        conv_pack(context, packs);
        Operand<float> wide_dx = dx.integers(3).wide();
        if (!accumulate) dx.poison(), wide_dx.poison();
        const ConvBackwardDataArgs args[] = {
            {dy.view(), packed.data(), dx.view(), g, accumulate},
            {wide_dy.view(), wide_packed.data(), wide_dx.view(), g, accumulate}};
        conv_backward_data(context, args);
        return dx.equals(wide_dx);
      })) << "cin "
          << g.cin << ", cout " << g.cout << (accumulate ? ", accumulated" : "");
    }
  }
}

class ConvBackwardWeightBf16 : public OpTest {};
TEST_F(ConvBackwardWeightBf16, GivesWhatF32Gives) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.g;
    Bf16Rows x(c.n, c.h, c.w, g.cin, c.x_gap);
    Bf16Rows dy(c.n, g.out_size(c.h), g.out_size(c.w), g.cout, c.dy_gap);
    const Operand<float> wide_x = x.integers(1).wide(), wide_dy = dy.integers(2).wide();
    const std::int64_t bytes = conv_backward_weight_workspace_bytes(g, c.n, c.h, c.w, DType::bf16);
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      Operand<float> dw = Operand<float>::vector(g.weight_elems()), wide_dw = dw.vector(dw.elems());
      Operand<float> dbias = Operand<float>::vector(g.cout), wide_dbias = dbias.vector(g.cout);
      Operand<float> workspace = dw.vector(bytes / 4), wide_workspace = dw.vector(bytes / 4);
      const ConvBackwardWeightArgs args[] = {
          {x.view(), dy.view(), dw.data(), dbias.data(), g, workspace.data(), bytes},
          {wide_x.view(), wide_dy.view(), wide_dw.data(), wide_dbias.data(), g,
           wide_workspace.data(), bytes}};
      conv_backward_weight(context, args);
      for (const Operand<float>* operand : {&dw, &dbias}) {
        MSD_RETURN_IF_FAILED(operand->written());
      }
      MSD_RETURN_IF_FAILED(workspace.intact());
      Outputs narrow, wide;
      narrow.keep("dw", dw), narrow.keep("dbias", dbias);
      wide.keep("dw", wide_dw), wide.keep("dbias", wide_dbias);
      return narrow.identical(wide);
    })) << "cin "
        << g.cin << ", cout " << g.cout;
  }
}

}  // namespace
}  // namespace msd::test
