// SPDX-License-Identifier: MIT
#include <vector>

#include "tests/kernels/batchnorm_cases.h"

namespace msd::test::norm {
namespace {

template <typename T>
using Problem = calls::BatchnormInference<Guarded<T>>;

template <typename T>
class BatchnormInference : public OpTest {};
TYPED_TEST_SUITE(BatchnormInference, FloatTypes);

TYPED_TEST(BatchnormInference, MatchesTheReference) {
  for_each_problem<Problem<TypeParam>>([](auto& p) {
    const std::vector<double> expected = p.inferred();
    EXPECT_TRUE(gives(p, expected, {16.0 * kEps<TypeParam>, 4.0 * kEps<TypeParam>}));
  });
}

TYPED_TEST(BatchnormInference, MayRunInPlaceAndOnNothing) {
  Problem<TypeParam> p({2, 5, 5, 7}, {3, 2});
  const std::vector<double> expected = p.inferred();
  BatchNormInferenceArgs args = p.args();
  args.y = p.x.view();
  ExecutionContext context = any_context(2);
  batchnorm_inference(context, {&args, 1});
  EXPECT_TRUE(compare("x", p.x, expected, {16.0 * kEps<TypeParam>, 4.0 * kEps<TypeParam>}));

  Problem<TypeParam> empty({0, 5, 5, 7});
  calls::run(context, empty);
  EXPECT_TRUE(empty.y.written());
  batchnorm_inference(context, {});
}

TYPED_TEST(BatchnormInference, IsBatchInvariant) {
  Problem<TypeParam> p({5, 7, 7, 12});
  ExecutionContext context = any_context();
  const BatchNormInferenceArgs all = p.args();
  batchnorm_inference(context, {&all, 1});
  const std::vector<TypeParam> together = p.y.values();
  p.y.poison();
  for (std::int64_t image = 0; image < 5; ++image) {
    BatchNormInferenceArgs one = all;
    one.x.n = one.y.n = 1;
    one.x.data = p.x.data() + image * 49 * 12;
    one.y.data = p.y.data() + image * 49 * 12;
    batchnorm_inference(context, {&one, 1});
  }
  EXPECT_EQ(p.y.values(), together);
}

TYPED_TEST(BatchnormInference, RejectsWhatTheContractForbids) {
  Problem<TypeParam> p({2, 3, 3, 5}, {1, 1});
  const auto reject = rejector(p);
  EXPECT_TRUE(reject([](auto& a) { a.y.w = 2; }));
  EXPECT_TRUE(reject([&](auto& a) { a.y.data = p.x.data() + 1; }));
  EXPECT_TRUE(reject([](auto& a) { a.running_var = nullptr; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
}

}  // namespace
}  // namespace msd::test::norm
