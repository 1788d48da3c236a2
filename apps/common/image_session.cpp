// SPDX-License-Identifier: MIT
#include "apps/common/image_session.h"

namespace msd {
namespace {

double value_at(const void* data, DType dtype, std::int64_t i) {
  return dtype == DType::f64 ? static_cast<const double*>(data)[i]
                             : static_cast<double>(static_cast<const float*>(data)[i]);
}

}  // namespace

ImageSession::ImageSession(Runtime& runtime, const Plan& plan, const DataDescription& description)
    : runtime_(runtime), session_(runtime, plan, 1), description_(description) {
  const std::int64_t classes = plan.architecture().config.classes;
  probabilities_ = Tensor::activation(runtime.allocator(), 1, 1, 1, classes, plan.dtype());
  max_ = Tensor::empty(runtime.allocator(), {1}, accumulator_of(plan.dtype()));
}

void ImageSession::load(const std::uint8_t* pixels) {
  constexpr std::int64_t kFirst = 0;
  ImageToFloatArgs args;
  args.images = pixels;
  args.count = 1;
  args.y = session_.input();
  args.h = args.y.h;
  args.w = args.y.w;
  args.index = &kFirst;
  args.mean = description_.mean.data();
  args.std = description_.std.data();
  image_to_float(runtime_.context(), {&args, 1});
}

ExitAnswer ImageSession::run_stage(std::int64_t stage) {
  SoftmaxConfidenceArgs args;
  args.logits = session_.run_stage(stage);
  args.probabilities = probabilities_.view();
  args.max = max_.data();
  args.argmax = &argmax_;
  args.top5 = top_;
  softmax_confidence(runtime_.context(), {&args, 1});
  return {static_cast<float>(value_at(max_.data(), max_.dtype(), 0)), argmax_};
}

std::vector<ClassProbability> ImageSession::likeliest(int count) const {
  std::vector<ClassProbability> classes;
  for (int i = 0; i < count && top_[i] >= 0; ++i) {
    classes.push_back({top_[i], value_at(probabilities_.data(), probabilities_.dtype(), top_[i])});
  }
  return classes;
}

}  // namespace msd
