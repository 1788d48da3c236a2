// SPDX-License-Identifier: MIT
// The checks of every op's contract that can be made from sizes and pointers. What depends on the
// data (a label in range) is checked by the body, which knows where the data lie.
#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/error.h"
#include "kernels/ops.h"

namespace msd {
namespace {

void check_view(const ConstView& v, const char* op, const char* what) {
  MSD_CHECK(v.n >= 0 && v.h >= 0 && v.w >= 0 && v.c >= 0, op, ": ", what, " is ", v);
  MSD_CHECK(v.pitch >= v.c, op, ": ", what, " is ", v, ", rows overlap");
  MSD_CHECK(v.data != nullptr || v.elems() == 0, op, ": ", what, " has no data");
  MSD_CHECK(v.dtype == DType::f32 || v.dtype == DType::f64 || v.dtype == DType::bf16, op, ": ",
            what, " is ", v);
}

void check_same_dtype(const ConstView& a, const ConstView& b, const char* op) {
  MSD_CHECK(a.dtype == b.dtype, op, ": ", a, " and ", b, " differ in dtype");
}

void check_same_shape(const ConstView& a, const ConstView& b, const char* op) {
  check_same_dtype(a, b, op);
  MSD_CHECK(a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c, op, ": ", a, " and ", b,
            " differ in shape");
}

void check_pointer(const void* p, const char* op, const char* what) {
  MSD_CHECK(p != nullptr, op, ": ", what, " is null");
}

// Exact for two slices of one buffer (equal pitch): their channel ranges must be apart.
bool overlap(const ConstView& a, const ConstView& b) {
  if (a.elems() == 0 || b.elems() == 0) return false;
  const std::int64_t bytes = size_bytes(a.dtype);
  const char* a0 = static_cast<const char*>(a.data);
  const char* b0 = static_cast<const char*>(b.data);
  const char* a1 = a0 + ((a.rows() - 1) * a.pitch + a.c) * bytes;
  const char* b1 = b0 + ((b.rows() - 1) * b.pitch + b.c) * size_bytes(b.dtype);
  const std::less<const char*> before;
  if (!before(a0, b1) || !before(b0, a1)) return false;
  if (a.pitch != b.pitch || a.dtype != b.dtype) return true;
  const std::int64_t row = a.pitch * bytes;
  const std::int64_t shift = ((b0 - a0) % row + row) % row;  // b's start within a's row
  return shift < a.c * bytes || shift + b.c * bytes > row;
}

void check_apart(const ConstView& a, const ConstView& b, const char* op) {
  MSD_CHECK(!overlap(a, b), op, ": ", a, " and ", b, " overlap");
}

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

void check_pool(const PoolGeometry& g, const ConstView& x, const ConstView& y, const char* op) {
  MSD_CHECK(g.kernel > 0 && g.stride > 0 && g.padding >= 0 && 2 * g.padding <= g.kernel, op,
            ": kernel ", g.kernel, ", stride ", g.stride, ", padding ", g.padding);
  MSD_CHECK(x.h + 2 * g.padding >= g.kernel && x.w + 2 * g.padding >= g.kernel, op, ": ", x,
            " is smaller than the window ", g.kernel);
  MSD_CHECK(x.n == y.n && x.c == y.c && y.h == g.out_size(x.h) && y.w == g.out_size(x.w), op, ": ",
            x, " to ", y);
  MSD_CHECK(y.elems() == 0 || (x.h > 0 && x.w > 0), op, ": windows without a position in ", x);
  check_same_dtype(x, y, op);
}

void check_avg_pool(const ConstView& x, const ConstView& y, std::int64_t kernel_h,
                    std::int64_t kernel_w, const char* op) {
  MSD_CHECK(kernel_h > 0 && kernel_w > 0 && x.h >= kernel_h && x.w >= kernel_w, op, ": window ",
            kernel_h, "x", kernel_w, " over ", x);
  MSD_CHECK(x.n == y.n && x.c == y.c && y.h == x.h / kernel_h && y.w == x.w / kernel_w, op, ": ", x,
            " to ", y);
  check_same_dtype(x, y, op);
}

void check_statistics(const BatchStatistics& statistics, const ConstView& output, const char* op) {
  const std::int64_t need = batch_statistics_bytes(output);
  MSD_CHECK(statistics.bytes >= need, op, ": statistics of ", statistics.bytes, " bytes, need ",
            need);
  MSD_CHECK(statistics.data != nullptr || need == 0, op, ": statistics have no data");
}

}  // namespace

std::int64_t conv_packed_elems(const ConvGeometry& g, ConvPass pass) {
  const bool forward = pass == ConvPass::forward;
  const std::int64_t outs = forward ? g.cout : g.cin, ins = forward ? g.cin : g.cout;
  // The CPU rounds up what comes out, CUDA what goes in (to 16 bytes).
  return g.kernel * g.kernel * std::max(round_up(outs, 16) * ins, outs * round_up(ins, 8));
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

void BatchNormForwardArgs::check() const {
  const char* op = "batchnorm_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_shape(x, y, op);
  check_apart(x, y, op);
  MSD_CHECK(x.rows() >= 2, op, ": ", x, " has fewer than 2 values a channel");
  for (const void* p : {gamma, beta}) check_pointer(p, op, "gamma or beta");
  for (const void* p : {running_mean, running_var}) check_pointer(p, op, "a running statistic");
  for (const void* p : {saved_mean, saved_invstd}) check_pointer(p, op, "a saved statistic");
  if (statistics != nullptr && statistics->of.data != nullptr) {
    check_statistics(*statistics, x, op);
    const ConstView& of = statistics->of;
    MSD_CHECK(of.data == x.data && of.pitch == x.pitch, op, ": statistics of ", of, ", not of ", x);
    check_same_shape(of, x, op);
  }
  MSD_CHECK(epsilon > 0 && momentum >= 0 && momentum <= 1, op, ": epsilon ", epsilon, ", momentum ",
            momentum);
}

void BatchNormBackwardArgs::check() const {
  const char* op = "batchnorm_backward";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_same_shape(x, dy, op);
  check_same_shape(x, dx, op);
  for (const void* p : {gamma, beta, saved_mean, saved_invstd}) check_pointer(p, op, "an input");
  for (const void* p : {dgamma, dbeta}) check_pointer(p, op, "dgamma or dbeta");
  for (const ConstView& v : {x, dy}) {
    const bool same = v.data == dx.data && v.pitch == dx.pitch;
    MSD_CHECK(same || !overlap(v, dx), op, ": dx ", ConstView(dx), " overlaps ", v, " in part");
  }
}

void BatchNormInferenceArgs::check() const {
  const char* op = "batchnorm_inference";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_shape(x, y, op);
  const bool same = x.data == y.data && x.pitch == y.pitch;
  MSD_CHECK(same || !overlap(x, y), op, ": ", ConstView(y), " overlaps x in part");
  for (const void* p : {gamma, beta, running_mean, running_var}) check_pointer(p, op, "an input");
}

void MaxPoolForwardArgs::check() const {
  const char* op = "max_pool_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_pool(geometry, x, y, op);
  check_apart(x, y, op);
}

void MaxPoolBackwardArgs::check() const {
  const char* op = "max_pool_backward";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_pool(geometry, x, dy, op);
  check_same_shape(x, dx, op);
  check_apart(dx, x, op);
  check_apart(dx, dy, op);
}

void AvgPoolForwardArgs::check() const {
  const char* op = "avg_pool_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_avg_pool(x, y, kernel_h, kernel_w, op);
  check_apart(x, y, op);
}

void AvgPoolBackwardArgs::check() const {
  const char* op = "avg_pool_backward";
  check_view(dy, op, "dy");
  check_view(dx, op, "dx");
  check_avg_pool(dx, dy, kernel_h, kernel_w, op);
  check_apart(dx, dy, op);
}

void LinearForwardArgs::check() const {
  const char* op = "linear_forward";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_dtype(x, y, op);
  MSD_CHECK(x.rows() == y.rows(), op, ": ", x, " to ", ConstView(y));
  check_pointer(weight, op, "weight");
  check_pointer(bias, op, "bias");
  check_apart(x, y, op);
}

void LinearBackwardArgs::check() const {
  const char* op = "linear_backward";
  check_view(x, op, "x");
  check_view(dy, op, "dy");
  check_same_dtype(x, dy, op);
  MSD_CHECK(x.rows() == dy.rows(), op, ": ", x, " to ", dy);
  for (const void* p : {weight, static_cast<const void*>(dw), static_cast<const void*>(dbias)}) {
    check_pointer(p, op, "weight, dw or dbias");
  }
  if (dx.data != nullptr) {
    check_same_shape(x, dx, op);
    check_apart(dx, x, op);
    check_apart(dx, dy, op);
  }
}

void SoftmaxCrossEntropyArgs::check() const {
  const char* op = "softmax_cross_entropy";
  check_view(logits, op, "logits");
  MSD_CHECK(logits.rows() > 0 && logits.c > 0, op, ": no logits in ", logits);
  check_pointer(labels, op, "labels");
  check_pointer(loss, op, "loss");
  if (dlogits.data != nullptr) check_same_shape(logits, dlogits, op);
}

void SoftmaxConfidenceArgs::check() const {
  const char* op = "softmax_confidence";
  check_view(logits, op, "logits");
  MSD_CHECK(logits.c > 0, op, ": no classes in ", logits);
  if (probabilities.data != nullptr) check_same_shape(logits, probabilities, op);
}

void SelectSurvivorsArgs::check() const {
  const char* op = "select_survivors";
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": dtype ", name(dtype));
  MSD_CHECK(count >= 0 && count <= 0x7FFFFFFF, op, ": count ", count);
  check_pointer(survivor_count, op, "survivor_count");
  if (count == 0) return;
  check_pointer(confidence, op, "confidence");
  check_pointer(survivors, op, "survivors");
}

void CountExitsArgs::check() const {
  const char* op = "count_exits";
  MSD_CHECK(!logits.empty(), op, ": no exits");
  for (const ConstView& view : logits) {
    check_view(view, op, "logits");
    check_same_shape(logits[0], view, op);
    MSD_CHECK(view.h == 1 && view.w == 1 && view.c > 0, op, ": logits ", view);
  }
  check_pointer(loss_sum, op, "loss_sum");
  check_pointer(correct, op, "correct");
  if (logits[0].n == 0) return;
  check_pointer(labels, op, "labels");
  check_pointer(probability_sums, op, "probability_sums");
}

void SgdArgs::check() const {
  const char* op = "sgd";
  MSD_CHECK(count >= 0, op, ": count ", count);
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": dtype ", name(dtype));
  if (count == 0) return;
  check_pointer(weight, op, "weight");
  check_pointer(gradient, op, "gradient");
  check_pointer(velocity, op, "velocity");
  check_pointer(lr, op, "lr");
  MSD_CHECK(std::isfinite(momentum) && std::isfinite(weight_decay), op, ": momentum ", momentum,
            ", weight decay ", weight_decay);
}

void FiniteCheckArgs::check() const {
  const char* op = "finite_check";
  MSD_CHECK(count >= 0, op, ": count ", count);
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, op, ": dtype ", name(dtype));
  MSD_CHECK(data != nullptr || count == 0, op, ": data is null");
  check_pointer(first_bad, op, "first_bad");
}

void ConcatArgs::check() const {
  const char* op = "concat";
  check_view(y, op, "y");
  std::int64_t channels = 0;
  for (const ConstView& x : inputs) {
    check_view(x, op, "an input");
    check_same_dtype(x, y, op);
    MSD_CHECK(x.n == y.n && x.h == y.h && x.w == y.w, op, ": ", x, " into ", ConstView(y));
    check_apart(x, y, op);
    channels += x.c;
  }
  MSD_CHECK(channels == y.c, op, ": inputs with ", channels, " channels into ", ConstView(y));
}

void CopyArgs::check() const {
  check_view(x, "copy", "x");
  check_view(y, "copy", "y");
  check_same_shape(x, y, "copy");
  check_apart(x, y, "copy");
}

void AccumulateArgs::check() const {
  const char* op = "accumulate";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_shape(x, y, op);
  const bool same = x.data == y.data && x.pitch == y.pitch;
  MSD_CHECK(same || !overlap(x, y), op, ": ", ConstView(y), " overlaps x in part");
}

void FillArgs::check() const { check_view(y, "fill", "y"); }

void GatherRowsArgs::check() const {
  const char* op = "gather_rows";
  check_view(x, op, "x");
  check_view(y, op, "y");
  check_same_dtype(x, y, op);
  MSD_CHECK(x.h == y.h && x.w == y.w && x.c == y.c, op, ": ", x, " to ", ConstView(y));
  MSD_CHECK(index != nullptr || y.n == 0, op, ": index is null");
  check_apart(x, y, op);
}

void ImageToFloatArgs::check() const {
  const char* op = "image_to_float";
  check_view(y, op, "y");
  if (y.n == 0) return;
  MSD_CHECK(count > 0 && h > 0 && w > 0, op, ": ", count, " images of ", h, "x", w);
  check_pointer(images, op, "images");
  check_pointer(index, op, "index");
  check_pointer(mean, op, "mean");
  check_pointer(std, op, "std");
}

}  // namespace msd
