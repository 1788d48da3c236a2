// SPDX-License-Identifier: MIT
#include "msd/classifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "data/image_resize.h"
#include "tests/models/api/classifier_fixture.h"
#include "tests/support/errors.h"

namespace msd::test {
namespace {

constexpr float kNever = std::numeric_limits<float>::infinity();

class ImageNetClassifierTest : public ClassifierTest {
 protected:
  ImageNetClassifierTest() : ClassifierTest(Fixture("imagenet_four_scales").config()) {}
};

TEST_F(ClassifierTest, TellsOfItsNetwork) {
  const Classifier classifier(weights_, kHere);
  EXPECT_EQ(classifier.exits(), 3);
  EXPECT_EQ(classifier.classes(), 10);
  EXPECT_EQ(classifier.image_size(), 32);
  EXPECT_EQ(classifier.class_names(), data_.class_names);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto exit = static_cast<std::int64_t>(i) + 1;
    EXPECT_EQ(classifier.mul_adds(exit), costs_[i].mul_adds_lazy);
    EXPECT_EQ(classifier.mul_adds_alone(exit), costs_[i].mul_adds_direct);
  }
  for (const std::int64_t exit : {0, 4}) {
    EXPECT_TRUE(throws<ConfigError>([&] { (void)classifier.mul_adds(exit); }, {"1 to 3"}));
    EXPECT_TRUE(throws<ConfigError>([&] { (void)classifier.mul_adds_alone(exit); }, {"1 to 3"}));
  }
}

TEST_F(ClassifierTest, EveryExitSaysWhatAnEvaluatorSays) {
  const ExitRecords expected = records();
  Classifier classifier(weights_, kHere);
  for (std::int64_t i = 0; i < kImages; ++i) {
    const Answer answer = classify(classifier, i, EveryExit{});
    ASSERT_EQ(answer.exits.size(), 3u);
    for (std::int64_t exit = 0; exit < 3; ++exit) {
      const Answer& said = answer.exits[static_cast<std::size_t>(exit)];
      EXPECT_TRUE(agrees(said, expected, i, exit));
      EXPECT_EQ(said.mul_adds, classifier.mul_adds(exit + 1));
      EXPECT_TRUE(said.exits.empty());
    }
    EXPECT_TRUE(agrees(answer, expected, i, 2));
    EXPECT_EQ(answer.microseconds, answer.exits[2].microseconds);
    EXPECT_GT(answer.exits[0].microseconds, 0.0);
    EXPECT_LT(answer.exits[0].microseconds, answer.microseconds);

    ASSERT_EQ(answer.classes.size(), 5u);
    EXPECT_EQ(answer.classes[0].label, answer.label);
    EXPECT_EQ(answer.classes[0].name, answer.class_name);
    EXPECT_EQ(static_cast<float>(answer.classes[0].probability), answer.confidence);
    for (std::size_t c = 1; c < 5; ++c) {
      EXPECT_LE(answer.classes[c].probability, answer.classes[c - 1].probability);
    }
  }
}

TEST_F(ClassifierTest, LeavesWhereTheRuleSays) {
  const ExitRecords expected = records();
  const float median = median_confidence(expected);
  const Thresholds second = {kNever, median, 0.0f};
  Classifier classifier(weights_, kHere);
  std::vector<int> left(3);
  for (std::int64_t i = 0; i < kImages; ++i) {
    EXPECT_TRUE(agrees(classify(classifier, i, LastExit{}), expected, i, 2));
    for (std::int64_t exit = 0; exit < 3; ++exit) {
      const Answer fixed = classify(classifier, i, FixedExit{exit + 1});
      EXPECT_TRUE(agrees(fixed, expected, i, exit));
      EXPECT_EQ(fixed.mul_adds, classifier.mul_adds_alone(exit + 1));
    }
    const Answer early = classify(classifier, i, Threshold{median});
    const std::int64_t exit = leaving_exit(expected, i, {median, median, 0.0f});
    EXPECT_TRUE(agrees(early, expected, i, exit));
    EXPECT_EQ(early.mul_adds, classifier.mul_adds(exit + 1));
    EXPECT_TRUE(early.exits.empty());
    ++left[static_cast<std::size_t>(exit)];
    EXPECT_TRUE(
        agrees(classify(classifier, i, second), expected, i, leaving_exit(expected, i, second)));
    // The first exit answers however late it is.
    EXPECT_TRUE(agrees(classify(classifier, i, Deadline{1e-3}), expected, i, 0));
    EXPECT_TRUE(agrees(classify(classifier, i, Deadline{1e10}), expected, i, 2));
  }
  EXPECT_GT(left[0], 0);
  EXPECT_LT(left[0], kImages);
}

TEST_F(ClassifierTest, TakesItsThresholdsFromAFile) {
  const std::string fingerprint = read_checkpoint(weights_).fingerprint;
  const Thresholds fitted = {0.75f, kNever, 0.0f};
  ClassifierOptions options = kHere;
  options.thresholds_file = write_thresholds_file(fingerprint, fitted);
  const Classifier classifier(weights_, options);
  EXPECT_EQ(std::get<Thresholds>(classifier.rule_for_p(1.0)), fitted);
  EXPECT_EQ(std::get<Thresholds>(classifier.rule_for_budget(1e9)), fitted);
  EXPECT_TRUE(throws<ConfigError>([&] { classifier.rule_for_budget(1000); }, {"too small"}));
  EXPECT_TRUE(throws<ConfigError>([&] { classifier.rule_for_p(3.0); }, {"3"}));

  const auto refused = [&] { Classifier(weights_, options); };
  options.thresholds_file = write_thresholds_file("other weights", fitted);
  EXPECT_TRUE(throws<ConfigError>(refused, {"other weights", fingerprint}));
  options.thresholds_file = folder_.write("wrong.json", std::string("{}"));
  EXPECT_TRUE(throws<FormatError>(refused, {"wrong.json"}));
  options.thresholds_file = folder_.path("none.json");
  EXPECT_TRUE(throws<IoError>(refused, {"none.json"}));
  const Classifier without(weights_, kHere);
  EXPECT_TRUE(throws<ConfigError>([&] { without.rule_for_budget(1e9); }, {"thresholds_file"}));
  EXPECT_TRUE(throws<ConfigError>([&] { without.rule_for_p(1.0); }, {"thresholds_file"}));
}

TEST_F(ClassifierTest, FitsPicturesOfAnySize) {
  Classifier classifier(weights_, kHere);
  for (const auto& [h, w] : {std::pair{32, 32}, {50, 71}, {64, 20}, {1, 1}}) {
    const Image picture = noise(h, w);
    const Answer expected = classifier.classify(fit_to(picture, {32, 32}).pixels, 32, 32);
    EXPECT_EQ(classifier.classify(picture.pixels, h, w).confidence, expected.confidence);
    const std::string path = folder_.write("picture.ppm", ppm(picture));
    EXPECT_EQ(classifier.classify_file(path).confidence, expected.confidence);
    EXPECT_EQ(classifier.classify_file(path).label, expected.label);
  }
}

// 8/7 of the input is resized to, so that an image in the network's own size is not taken as it is.
TEST_F(ImageNetClassifierTest, LosesABorder) {
  const ExitRecords expected = records();
  Classifier classifier(weights_, kHere);
  const std::int64_t size = config_.image_size, large = size * 8 / 7;
  ASSERT_GT(large, size);
  for (std::int64_t i = 0; i < 2; ++i) {
    const std::span<const std::uint8_t> inner = set_.image(i);
    Image picture = noise(large, large);
    const std::int64_t border = (large - size) / 2;
    for (std::int64_t y = 0; y < size; ++y) {
      std::copy_n(inner.begin() + y * size * 3, size * 3,
                  picture.pixels.begin() + ((y + border) * large + border) * 3);
    }
    const Answer answer = classifier.classify(picture.pixels, large, large);
    EXPECT_TRUE(agrees(answer, expected, i, classifier.exits() - 1));
    EXPECT_NE(classify(classifier, i, LastExit{}).confidence, answer.confidence);
  }
}

TEST_F(ClassifierTest, RefusesWrongInputs) {
  Classifier classifier(weights_, kHere);
  const std::vector<std::uint8_t> pixels(3 * 32 * 32);
  const auto classify = [&](std::int64_t h, std::int64_t w, const ExitRule& rule = LastExit{}) {
    return [&classifier, &pixels, h, w, rule] { classifier.classify(pixels, h, w, rule); };
  };
  EXPECT_TRUE(throws<ShapeError>(classify(0, 0), {"0 x 0"}));
  EXPECT_TRUE(throws<ShapeError>(classify(32, 0), {"32 x 0"}));
  EXPECT_TRUE(throws<ShapeError>(classify(-32, -32), {"-32 x -32"}));
  EXPECT_TRUE(throws<ShapeError>(classify(32, 31), {"32 x 31", "3072 bytes"}));
  EXPECT_TRUE(throws<ShapeError>(classify(std::int64_t{1} << 62, std::int64_t{1} << 62)));
  EXPECT_TRUE(throws<ShapeError>([&] { classifier.classify({}, 0, 0); }));
  EXPECT_TRUE(throws<ShapeError>([&] { classifier.classify(std::span(pixels).first(3), 3, 1); }));
  EXPECT_TRUE(throws<ConfigError>(classify(32, 32, FixedExit{4}), {"exit 4", "1 to 3"}));
  EXPECT_TRUE(throws<ConfigError>(classify(32, 32, FixedExit{0}), {"exit 0"}));
  EXPECT_TRUE(throws<ConfigError>(classify(32, 32, Thresholds{0.5f}), {"1 thresholds", "3 exits"}));
  EXPECT_TRUE(throws<ConfigError>(classify(32, 32, Threshold{2.0f}), {"2"}));
  EXPECT_TRUE(throws<ConfigError>(classify(32, 32, Deadline{-1.0}), {"-1"}));
  EXPECT_TRUE(throws<ConfigError>([&] { classifier.prepare(FixedExit{4}); }, {"exit 4"}));

  const std::string bad = folder_.write("bad.png", std::string("no image"));
  EXPECT_TRUE(throws<FormatError>([&] { classifier.classify_file(bad); }, {"bad.png"}));
  const std::string none = folder_.path("none.png");
  EXPECT_TRUE(throws<IoError>([&] { classifier.classify_file(none); }, {"none.png"}));
  // It goes on after all of these.
  EXPECT_NO_THROW(classify(32, 32)());
}

TEST_F(ClassifierTest, RefusesWrongOptions) {
  const auto refused = [&](const ClassifierOptions& options) {
    return [&weights = weights_, options] { Classifier(weights, options); };
  };
  EXPECT_TRUE(throws<ConfigError>(refused({.device = "cudo"}), {"cudo"}));
  EXPECT_TRUE(throws<ConfigError>(refused({.threads = -1}), {"-1 threads"}));
  EXPECT_TRUE(throws<ConfigError>(refused({.precision = Precision::bf16}), {"bf16", "cuda"}));
  EXPECT_TRUE(throws<ConfigError>(refused({.precision = Precision::tf32}), {"tf32", "cuda"}));
  EXPECT_TRUE(throws<ConfigError>(refused({.device = "cuda", .precision = Precision::fp64}),
                                  {"fp64", "cpu"}));
  EXPECT_TRUE(throws<IoError>([&] { Classifier(folder_.path("none.pth")); }, {"none.pth"}));
  const std::string bad = folder_.write("bad.pth", std::string("no weights"));
  EXPECT_TRUE(throws<FormatError>([&] { Classifier{bad}; }, {"bad.pth"}));
}

TEST_F(ClassifierTest, WeightsOfOthersHaveTheUsualOfTheirKind) {
  std::vector<NamedTensor> state;
  for (const auto& [name, tensor] : state_of(network_)) state.push_back({name, tensor});
  const std::string path = folder_.path("others.safetensors");
  write_safetensors(path, state);
  Classifier usual(path, kHere);
  EXPECT_FALSE(usual.is_normalization_known());
  EXPECT_EQ(usual.normalization().mean, normalization_of("cifar10").mean);
  EXPECT_EQ(usual.normalization().deviation, normalization_of("cifar10").deviation);
  ClassifierOptions options = kHere;
  options.normalization = {data_.preprocessing.mean, data_.preprocessing.std};
  Classifier others(path, options), ours(weights_, kHere);
  EXPECT_TRUE(others.is_normalization_known());
  EXPECT_NE(classify(usual, 0, LastExit{}).confidence, classify(ours, 0, LastExit{}).confidence);
  EXPECT_TRUE(others.class_names().empty());
  for (std::int64_t i = 0; i < kImages; ++i) {
    const Answer answer = classify(others, i, LastExit{}), same = classify(ours, i, LastExit{});
    EXPECT_EQ(answer.label, same.label);
    EXPECT_EQ(answer.confidence, same.confidence);
    EXPECT_EQ(answer.class_name, std::to_string(same.label));
  }
  options.normalization->mean = {0.0f, 0.0f, 0.0f};
  Classifier darker(weights_, options);
  EXPECT_NE(classify(darker, 0, LastExit{}).confidence, classify(ours, 0, LastExit{}).confidence);
  options.normalization->deviation[1] = 0.0f;
  EXPECT_TRUE(throws<ConfigError>([&] { Classifier(path, options); }, {"deviation 60,0,62"}));
}

TEST_F(ImageNetClassifierTest, ObeysTheWeightsFileAndTheOptions) {
  const Image picture = noise(90, 131);
  const std::int64_t size = config_.image_size;
  const auto confidence = [&](const Image& image, const ClassifierOptions& options) {
    return Classifier(weights_, options).classify(image.pixels, image.h, image.w).confidence;
  };
  ClassifierOptions plain = kHere;
  plain.fit = ImageFit{size, size};  // for pictures that are fitted already
  const ImageFit stated = data_.preprocessing.fit, other = {size + 9, size, Interpolation::bicubic};
  EXPECT_EQ(Classifier(weights_, kHere).fit(), stated);
  const float by_file = confidence(picture, kHere);
  EXPECT_EQ(by_file, confidence(fit_to(picture, stated), plain));
  ClassifierOptions options = kHere;
  options.fit = ImageFit{other.resize, 0, other.interpolation};
  const float by_option = confidence(picture, options);
  EXPECT_EQ(by_option, confidence(fit_to(picture, other), plain));
  EXPECT_NE(by_option, by_file);
  data_.preprocessing.fit = other;
  write_checkpoint(weights_, network_, data_, {});
  EXPECT_EQ(confidence(picture, kHere), by_option);

  options.fit = ImageFit{300, size + 1};
  EXPECT_TRUE(throws<ConfigError>([&] { Classifier(weights_, options); }, {"crop of"}));
  options = kHere;
  options.class_names = {"one"};
  EXPECT_TRUE(throws<ConfigError>([&] { Classifier(weights_, options); }, {"1 names"}));
  options.class_names.assign(static_cast<std::size_t>(config_.classes), "same");
  EXPECT_EQ(Classifier(weights_, options).classify(picture.pixels, 90, 131).class_name, "same");
  EXPECT_TRUE(throws<ConfigError>([] { normalization_of("voc"); }, {"voc", "imagenet"}));
}

TEST_F(ClassifierTest, ThreadsDoNotDisturbOneAnother) {
  const ExitRecords expected = records();
  ClassifierOptions parallel = kHere;
  parallel.threads = 3;
  const auto work = [&](const ClassifierOptions& options) {
    Classifier classifier(weights_, options);
    for (std::int64_t i = 0; i < kImages; ++i) {
      EXPECT_TRUE(agrees(classify(classifier, i, LastExit{}), expected, i, 2));
    }
  };
  std::thread other([&] { work(parallel); });
  work(kHere);
  other.join();
}

TEST_F(ClassifierTest, MovesAndIsPreparedAhead) {
  const ExitRecords expected = records();
  Classifier first(weights_, kHere);
  first.prepare(FixedExit{2});
  first.prepare(Deadline{1e10});
  Classifier second(std::move(first));
  EXPECT_TRUE(agrees(classify(second, 0, FixedExit{2}), expected, 0, 1));
  first = std::move(second);
  EXPECT_TRUE(agrees(classify(first, 1, Deadline{1e10}), expected, 1, 2));
}

}  // namespace
}  // namespace msd::test
