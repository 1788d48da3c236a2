// SPDX-License-Identifier: MIT
#include "models/network/preprocessing.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/errors.h"

namespace msd {
namespace {

using test::throws;
using Six = std::array<double, 3>;

MsdnetConfig config_for(InputKind kind, std::int64_t size, std::int64_t classes) {
  MsdnetConfig config;
  config.input_kind = kind;
  config.image_size = size;
  config.classes = classes;
  return config;
}
const MsdnetConfig kImagenet = config_for(InputKind::imagenet, 224, 1000);
const MsdnetConfig kCifar = config_for(InputKind::cifar, 32, 10);

// dataloader.py of kalviny/MSDNet-PyTorch, whose ToTensor divides by 255.
TEST(UsualPreprocessing, IsThatOfThePublicImplementations) {
  const Preprocessing imagenet = usual_preprocessing(kImagenet);
  EXPECT_EQ(imagenet.fit, (ImageFit{256, 224, Interpolation::bilinear}));
  EXPECT_FLOAT_EQ(imagenet.mean[0], 123.675f);
  EXPECT_FLOAT_EQ(imagenet.mean[2], 103.53f);
  EXPECT_FLOAT_EQ(imagenet.std[1], 57.12f);
  const Preprocessing cifar10 = usual_preprocessing(kCifar);
  EXPECT_EQ(cifar10.fit, (ImageFit{32, 32, Interpolation::bilinear}));
  EXPECT_FLOAT_EQ(cifar10.mean[1], 0.4824f * 255);
  EXPECT_FLOAT_EQ(cifar10.std[2], 0.2616f * 255);
  const Preprocessing cifar100 = usual_preprocessing(config_for(InputKind::cifar, 32, 100));
  EXPECT_FLOAT_EQ(cifar100.mean[0], 0.5071f * 255);
  EXPECT_FLOAT_EQ(cifar100.std[0], 0.2675f * 255);
  // A data set's own, whatever the network.
  EXPECT_EQ(usual_preprocessing(kCifar, "cifar100").mean, cifar100.mean);
  EXPECT_EQ(usual_preprocessing(kImagenet, "cifar10").std, cifar10.std);
  EXPECT_EQ(usual_preprocessing(kImagenet, "folder"), imagenet);
}

TEST(PreprocessingHints, TakeSharesOrGreyLevelsButNoMixture) {
  PreprocessingHints shares, levels, named, plain;
  shares.set_normalization(Six{0.485, 0.456, 0.406}, Six{0.229, 0.224, 0.225});
  levels.set_normalization(Six{123.675, 116.28, 103.53}, Six{58.395, 57.12, 57.375});
  named.set_normalization("imagenet");
  EXPECT_EQ(shares.mean, named.mean);
  EXPECT_EQ(shares.std, named.std);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_FLOAT_EQ((*levels.mean)[c], (*named.mean)[c]);
    EXPECT_FLOAT_EQ((*levels.std)[c], (*named.std)[c]);
  }
  // As without a Normalize after ToTensor; 0 is the same in both units.
  plain.set_normalization(Six{0, 0, 0}, Six{1, 1, 1});
  EXPECT_EQ(plain.std, (std::array<float, 3>{255, 255, 255}));
  plain.set_normalization(Six{0, 0, 0}, Six{255, 255, 255});
  EXPECT_EQ(plain.std, (std::array<float, 3>{255, 255, 255}));

  const auto refuses = [](const Six& mean, const Six& std, const std::string& part) {
    PreprocessingHints hints;
    EXPECT_TRUE(throws<ConfigError>([&] { hints.set_normalization(mean, std); }, {part})) << part;
    EXPECT_TRUE(hints.empty());
  };
  refuses({123.675, 116.28, 103.53}, {0.229, 0.224, 0.225}, "one unit");
  refuses({0.485, 0.456, 0.406}, {58.395, 57.12, 57.375}, "one unit");
  refuses({0.485, 116.28, 103.53}, {58.395, 57.12, 57.375}, "one unit");
  refuses({123.68, 116.78, 103.94}, {1, 1, 1}, "one unit");
  refuses({0.5, 0.5, 0.5}, {0.5, 0, 0.5}, "deviation 0.5,0,0.5");
  refuses({0.5, 0.5, 0.5}, {0.5, 1e-9, 0.5}, "at least 0.001");
  refuses({-0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, "-0.5 is not from 0 to 255");
  refuses({0.5, 0.5, 256}, {0.5, 0.5, 0.5}, "256 is not from 0 to 255");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  refuses({kNan, 0.5, 0.5}, {0.5, 0.5, 0.5}, "nan");
  refuses({0.5, 0.5, 0.5}, {0.5, kInfinity, 0.5}, "inf");
}

TEST(WithHints, KeepsWhatNobodySaidAndRefusesWhatTheNetworkCannotSee) {
  const Preprocessing base = usual_preprocessing(kImagenet);
  EXPECT_EQ(with_hints(base, {}, kImagenet), base);
  PreprocessingHints hints;
  hints.resize = 300;
  hints.crop = 224;
  hints.interpolation = Interpolation::bicubic;
  Preprocessing expected = base;
  expected.fit = {300, 224, Interpolation::bicubic};
  EXPECT_EQ(with_hints(base, hints, kImagenet), expected);
  // A network for larger images sees the same part of a picture.
  EXPECT_EQ(with_hints(base, {}, config_for(InputKind::imagenet, 448, 1000)).fit,
            (ImageFit{512, 448, Interpolation::bilinear}));
  EXPECT_EQ(with_hints(usual_preprocessing(kCifar), {}, config_for(InputKind::cifar, 40, 10)).fit,
            (ImageFit{40, 40, Interpolation::bilinear}));
  const auto refuses = [&](std::int64_t resize, std::int64_t crop,
                           std::initializer_list<std::string_view> parts) {
    PreprocessingHints wrong;
    wrong.resize = resize;
    wrong.crop = crop;
    EXPECT_TRUE(throws<ConfigError>([&] { with_hints(base, wrong, kImagenet); }, parts));
  };
  refuses(256, 225, {"crop of 225", "224x224"});
  refuses(223, 224, {"resized to 223", "224"});
  refuses(10'001, 224, {"10001", "10000"});
}

TEST(PreprocessingText, NamesWhatIsKnown) {
  EXPECT_EQ(preprocessing_text(usual_preprocessing(kImagenet)),
            "shorter side to 256 (bilinear), the middle 224x224, normalised by imagenet's mean "
            "0.485,0.456,0.406 and deviation 0.229,0.224,0.225 (shares of 255)");
  EXPECT_EQ(preprocessing_text({{40, 32, Interpolation::nearest}, {1, 2, 3}, {4, 5, 6.5f}}),
            "shorter side to 40 (nearest), the middle 32x32, normalised by mean 1,2,3 and "
            "deviation 4,5,6.5 (grey levels)");
}

}  // namespace
}  // namespace msd
