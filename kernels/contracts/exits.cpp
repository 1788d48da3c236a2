// SPDX-License-Identifier: MIT
#include "kernels/contracts/exits.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

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

}  // namespace msd
