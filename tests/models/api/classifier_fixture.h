// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/batch_feed.h"
#include "models/exits/thresholds_file.h"
#include "models/inference/evaluator.h"
#include "models/network/cost.h"
#include "models/weights/checkpoint.h"
#include "msd/classifier.h"
#include "tests/models/device.h"
#include "tests/models/networks.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd::test {

inline constexpr std::int64_t kImages = 12;

inline const ClassifierOptions kHere = {.device = MSD_TEST_DEVICE};

inline MsdnetConfig small_config() {
  MsdnetConfig config = preset("cifar10-tiny");
  config.init_channels = 4;
  config.growth_rate = 2;
  return config;
}

/// A network with random weights in a file, images, and what an Evaluator says of them.
class ClassifierTest : public testing::Test {
 protected:
  explicit ClassifierTest(const MsdnetConfig& config = small_config())
      : config_(config), network_(config, host_allocator()) {
    randomize(network_, 31);
    data_.dataset = "pictures";
    data_.preprocessing = usual_preprocessing(config);
    data_.preprocessing.mean = {120.0f, 115.0f, 110.0f};
    data_.preprocessing.std = {60.0f, 61.0f, 62.0f};
    for (std::int64_t i = 0; i < config.classes; ++i) {
      data_.class_names.push_back("class " + std::to_string(i));
    }
    write_checkpoint(weights_, network_, data_, {});
    set_.h = set_.w = config.image_size;
    set_.c = 3;
    for (std::int64_t i = 0; i < kImages; ++i) {
      const Image image = noise(set_.h, set_.w, static_cast<std::uint64_t>(i));
      set_.images.insert(set_.images.end(), image.pixels.begin(), image.pixels.end());
      set_.labels.push_back(0);
    }
  }

  ExitRecords records() {
    Runtime runtime(1, device());
    const Plan plan(runtime, network_);
    Evaluator evaluator(runtime, plan, kImages);
    LoaderOptions options;
    options.batch_size = kImages;
    options.mean = data_.preprocessing.mean;
    options.std = data_.preprocessing.std;
    std::vector<std::int64_t> indices(kImages);
    for (std::int64_t i = 0; i < kImages; ++i) indices[static_cast<std::size_t>(i)] = i;
    BatchFeed feed(runtime, set_, indices, options);
    feed.start_epoch(0);
    feed.next();
    feed.put(evaluator.input(kImages), nullptr);
    evaluator.run(set_.labels.data(), kImages);
    return evaluator.records();
  }

  Answer classify(Classifier& classifier, std::int64_t i, const ExitRule& rule) const {
    return classifier.classify(set_.image(i), set_.h, set_.w, rule);
  }

  // What the records say of image i at an exit, from 0.
  static testing::AssertionResult agrees(const Answer& answer, const ExitRecords& records,
                                         std::int64_t i, std::int64_t exit) {
    const std::size_t at = records.at(i, exit);
    if (answer.exit == exit + 1 && answer.label == records.prediction[at] &&
        answer.confidence == records.confidence[at] &&
        answer.class_name == "class " + std::to_string(answer.label)) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << "image " << i << ": exit " << answer.exit << " says " << answer.class_name << ", "
           << answer.confidence << "; exit " << exit + 1 << " is to say " << records.prediction[at]
           << ", " << records.confidence[at];
  }

  // A confidence that some images reach at exit 1 and others do not.
  static float median_confidence(const ExitRecords& records) {
    std::vector<float> first;
    for (std::int64_t i = 0; i < kImages; ++i)
      first.push_back(records.confidence[records.at(i, 0)]);
    std::nth_element(first.begin(), first.begin() + kImages / 2, first.end());
    return first[kImages / 2];
  }

  std::string write_thresholds_file(const std::string& fingerprint, const Thresholds& thresholds) {
    ThresholdsFile file;
    file.model = fingerprint;
    file.checkpoint = weights_;
    file.config = config_;
    file.fitted_on = file.evaluated_on = {"pictures", "holdout", kImages};
    for (const ExitCost& cost : costs_) {
      file.mul_adds_lazy.push_back(cost.mul_adds_lazy);
      file.ops.push_back(cost.ops);
    }
    BudgetPoint point;
    point.thresholds = thresholds;
    point.holdout_shares = point.shares = {0.5, 0.25, 0.25};
    point.expected_mul_adds = point.mean_mul_adds = static_cast<double>(file.mul_adds_lazy[1]);
    point.mean_ops = static_cast<double>(file.ops[1]);
    file.points = {point};
    write_thresholds(folder_ / "thresholds.json", file);
    return folder_.path("thresholds.json");
  }

  const MsdnetConfig config_;
  Network network_;
  const std::vector<ExitCost> costs_ = exit_costs(network_.architecture());
  TempFolder folder_;
  const std::string weights_ = folder_.path("weights.safetensors");
  DataDescription data_;
  ImageSet set_;
};

}  // namespace msd::test
