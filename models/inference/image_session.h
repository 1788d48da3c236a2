// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/image_normalizer.h"
#include "models/exits/confidence_reader.h"
#include "models/inference/plan.h"
#include "models/network/data_description.h"

namespace msd {

/// What an exit says of one image.
struct ExitAnswer {
  float confidence = 0.0f;       // the largest softmax probability
  std::int32_t prediction = -1;  // its class
};

struct ClassProbability {
  std::int32_t index = 0;
  double probability = 0.0;
};

/// Takes images one by one through a plan, stage by stage. Its answers are, bit for bit, those of
/// an Evaluator. Not thread-safe; one a thread may share the plan.
class ImageSession {
 public:
  static constexpr int kTop = ConfidenceReader::kTop;

  /// Borrows runtime and plan.
  ImageSession(Runtime& runtime, const Plan& plan, const DataDescription& description);

  /// The next image: pixels [size][size][3] of the network's input size, normalised here.
  void load(const std::uint8_t* pixels);
  /// Runs the next stage: stage 0 after load(), then in order.
  ExitAnswer run_stage(std::int64_t stage);

  /// The `count` <= kTop likeliest classes of the stage that ran last, fewer where there are fewer.
  std::vector<ClassProbability> likeliest(int count) const;
  std::int64_t executed_mul_adds() const { return session_.executed_mul_adds(); }

 private:
  Runtime& runtime_;
  PlanSession session_;
  ConfidenceReader reader_;
  ImageNormalizer normalizer_;
  Tensor pixels_, index_;  // what it reads
};

}  // namespace msd
