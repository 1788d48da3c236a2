// SPDX-License-Identifier: MIT
#include "kernels/contracts/convolution.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/contracts/checks.h"
#include "kernels/contracts/workspace_cuts.h"

namespace msd {
namespace {

void check_geometry(const ConvGeometry& g, const ConstView& x, const ConstView& y, const char* op) {
  MSD_CHECK(g.cin > 0 && g.cout > 0 && g.kernel > 0 && g.stride > 0 && g.padding >= 0, op, ": cin ",
            g.cin, ", cout ", g.cout, ", kernel ", g.kernel, ", stride ", g.stride, ", padding ",
            g.padding);
  MSD_CHECK(g.padding < g.kernel, op, ": padding ", g.padding, " for kernel ", g.kernel);
  MSD_CHECK(x.c == g.cin && y.c == g.cout && x.n == y.n, op, ": ", x, " to ", y, " with cin ",
            g.cin, ", cout ", g.cout);
  MSD_CHECK(x.h + 2 * g.padding >= g.kernel && x.w + 2 * g.padding >= g.kernel, op, ": ", x,
            " is smaller than the kernel ", g.kernel);
  MSD_CHECK(y.h == g.out_size(x.h) && y.w == g.out_size(x.w), op, ": ", x, " to ", y,
            " with kernel ", g.kernel, ", stride ", g.stride, ", padding ", g.padding);
}

}  // namespace

std::int64_t conv_packed_elems(const ConvGeometry& g, ConvPass pass) {
  const bool forward = pass == ConvPass::forward;
  const std::int64_t outs = forward ? g.cout : g.cin, ins = forward ? g.cin : g.cout;
  // The CPU rounds up what comes out, CUDA what goes in (to 16 bytes).
  return g.kernel * g.kernel * std::max(round_up(outs, 16) * ins, outs * round_up(ins, 8));
}

std::int64_t conv_backward_weight_workspace_bytes(const ConvGeometry& geometry, std::int64_t n,
                                                  std::int64_t h, std::int64_t w, DType dtype) {
  const std::int64_t cpu_elems =
      cpu::weight_gradient_chunks(geometry, n, h, w) * cpu::weight_gradient_partial_elems(geometry);
  const std::int64_t rows = n * geometry.out_size(h) * geometry.out_size(w);
  const cuda::WeightGradientCut cut = cuda::weight_gradient_cut(geometry, rows);
  const std::int64_t cuda_elems = dtype == DType::f64 ? 0 : cut.splits * cut.partial_elems;
  return std::max(cpu_elems, cuda_elems) * size_bytes(accumulator_of(dtype));
}

std::int64_t batch_statistics_bytes(const ConstView& output) {
  constexpr std::int64_t kBytes = 2 * sizeof(float);  // of a part and channel
  return cuda::StatisticsParts(output.rows(), output.c).count * output.c * kBytes;
}

void check_statistics(const BatchStatistics& statistics, const ConstView& output, const char* op) {
  const std::int64_t need = batch_statistics_bytes(output);
  MSD_CHECK(statistics.bytes >= need, op, ": statistics of ", statistics.bytes, " bytes, need ",
            need);
  MSD_CHECK(statistics.data != nullptr || need == 0, op, ": statistics have no data");
}

void ConvPackArgs::check() const {
  const char* op = "conv_pack";
  check_pointer(weight, op, "weight");
  check_pointer(packed, op, "packed");
  MSD_CHECK(geometry.cin > 0 && geometry.cout > 0 && geometry.kernel > 0, op, ": cin ",
            geometry.cin, ", cout ", geometry.cout, ", kernel ", geometry.kernel);
}

void ConvForwardArgs::check() const {
  const char* op = "conv_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_dtype(x, y, op);
  check_geometry(geometry, x, y, op);
  check_pointer(packed, op, "packed");
  check_apart(x, y, op);
  if (statistics != nullptr) check_statistics(*statistics, y, op);
}

void ConvBackwardDataArgs::check() const {
  const char* op = "conv_backward_data";
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_same_dtype(dx, dy, op);
  check_geometry(geometry, dx, dy, op);
  check_pointer(packed, op, "packed");
  check_apart(dx, dy, op);
}

void ConvBackwardWeightArgs::check() const {
  const char* op = "conv_backward_weight";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_same_dtype(x, dy, op);
  check_geometry(geometry, x, dy, op);
  check_pointer(dw, op, "dw");
  const std::int64_t need = conv_backward_weight_workspace_bytes(geometry, x.n, x.h, x.w, x.dtype);
  MSD_CHECK(workspace_bytes >= need, op, ": workspace of ", workspace_bytes, " bytes, needs ",
            need);
  MSD_CHECK(workspace != nullptr || need == 0, op, ": workspace is null");
}

}  // namespace msd
