// SPDX-License-Identifier: MIT
#include "kernels/contracts/classification.h"

#include "kernels/check.h"
#include "kernels/contracts/checks.h"

namespace msd {

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

}  // namespace msd
