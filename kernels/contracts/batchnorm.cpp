// SPDX-License-Identifier: MIT
#include "kernels/contracts/batchnorm.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"
#include "kernels/contracts/convolution.h"

namespace msd {

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

}  // namespace msd
