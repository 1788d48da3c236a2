// SPDX-License-Identifier: MIT
#include "models/inference/image_session.h"

namespace msd {

ImageSession::ImageSession(Runtime& runtime, const Plan& plan, const DataDescription& description)
    : runtime_(runtime),
      session_(runtime, plan, 1),
      reader_(runtime, 1, plan.architecture().config.classes, plan.dtype()),
      normalizer_(runtime.allocator(), description.preprocessing.mean,
                  description.preprocessing.std) {
  const View input = session_.input();
  pixels_ = Tensor::empty(runtime.allocator(), {input.h, input.w, input.c}, DType::u8);
  index_ = Tensor::zeros(runtime.allocator(), {1}, DType::i64);
}

void ImageSession::load(const std::uint8_t* pixels) {
  pixels_.write(pixels, pixels_.elems());
  const View input = session_.input();
  normalizer_.run(runtime_.context(),
                  {static_cast<const std::uint8_t*>(pixels_.data()), 1, input.h, input.w},
                  static_cast<const std::int64_t*>(index_.data()), nullptr, input);
}

ExitAnswer ImageSession::run_stage(std::int64_t stage) {
  reader_.read(session_.run_stage(stage));
  return {static_cast<float>(reader_.confidence(0)), reader_.argmax(0)};
}

std::vector<ClassProbability> ImageSession::likeliest(int count) const {
  std::vector<ClassProbability> classes;
  const std::int32_t* top = reader_.top(0);
  for (int i = 0; i < count && top[i] >= 0; ++i) {
    classes.push_back({top[i], reader_.probability(0, top[i])});
  }
  return classes;
}

}  // namespace msd
