// SPDX-License-Identifier: MIT
// The face on a device: its images travel there, its answers come back.
#include <gtest/gtest.h>

#include "tests/models/api/classifier_fixture.h"

namespace msd::test {
namespace {

using ClassifierDeviceTest = ClassifierTest;

TEST_F(ClassifierDeviceTest, LeavesWhereAnEvaluatorSays) {
  const ExitRecords expected = records();
  const float median = median_confidence(expected);
  Classifier classifier(weights_, kHere);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(agrees(classify(classifier, i, FixedExit{1}), expected, i, 0));
    EXPECT_TRUE(agrees(classify(classifier, i, Threshold{median}), expected, i,
                       leaving_exit(expected, i, {median, median, 0.0f})));
  }
}

TEST_F(ClassifierDeviceTest, ComputesAsPreciselyAsAsked) {
  const FixedExit first{1};
  ClassifierOptions options = kHere;
  Classifier full(weights_, options);
  const float expected = classify(full, 0, first).confidence;
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    options.precision = precision;
    Classifier rounded(weights_, options);
    const float confidence = classify(rounded, 0, first).confidence;
    EXPECT_NE(confidence, expected);
    EXPECT_NEAR(confidence, expected, 0.05);  // bf16 has 8 bits; softmax keeps an error's size
  }
}

}  // namespace
}  // namespace msd::test
