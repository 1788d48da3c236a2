// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <memory>

#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using testing::AssertionResult;
using testing::AssertionSuccess;

struct Shape {
  std::int64_t n, h, w, c;
};
// Channels around the vectors, rows around the tasks of 64 KB, nothing at all.
const Shape kShapes[] = {{1, 1, 1, 1},    {2, 3, 5, 3},   {1, 7, 1, 5},  {3, 9, 10, 6},
                         {2, 16, 9, 12},  {1, 11, 5, 17}, {2, 8, 8, 24}, {4, 20, 20, 48},
                         {2, 5, 13, 130}, {0, 3, 3, 5},   {2, 3, 3, 0},  {1, 1, 1, 20000}};
const Gap kGaps[] = {{0, 0}, {3, 1}};

std::string describe(const Shape& s) {
  return message("[", s.n, ",", s.h, ",", s.w, ",", s.c, "]");
}

template <typename T>
Operand<T> operand(const Shape& s, Gap gap = {}) {
  return {s.n, s.h, s.w, s.c, gap};
}

template <typename T>
class Concat : public OpTest {};
TYPED_TEST_SUITE(Concat, FloatTypes);

TYPED_TEST(Concat, JoinsChannelsExactly) {
  const std::vector<std::vector<std::int64_t>> widths = {
      {1}, {6, 6}, {3, 0, 5, 1}, {16, 6, 6, 6, 6}, {130, 17}, {}};
  for (const auto& parts : widths) {
    for (const Gap gap : kGaps) {
      std::vector<Operand<TypeParam>> inputs;
      std::int64_t channels = 0;
      for (const std::int64_t c : parts) {
        inputs.emplace_back(3, 11, 13, c, gap);
        inputs.back().random(static_cast<std::uint64_t>(c));
        channels += c;
      }
      std::vector<ConstView> views;
      for (const auto& input : inputs) views.push_back(input.view());
      Operand<TypeParam> y(3, 11, 13, channels, {gap.after, gap.before});
      std::vector<double> expected;
      for (std::int64_t row = 0; row < y.rows(); ++row) {
        for (std::size_t k = 0; k < parts.size(); ++k) {
          for (std::int64_t i = 0; i < parts[k]; ++i) {
            expected.push_back(static_cast<double>(inputs[k].at(row, i)));
          }
        }
      }
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        y.poison();
        const ConcatArgs args{views, y.view()};
        concat(context, {&args, 1});
        return compare("y", y, expected, {});
      })) << parts.size()
          << " inputs, " << channels << " channels";
    }
  }
}

TYPED_TEST(Concat, RejectsWhatTheContractForbids) {
  Operand<TypeParam> a(2, 3, 3, 4), b(2, 3, 3, 2), y(2, 3, 3, 6);
  const std::vector<ConstView> views = {a.view(), b.view()};
  std::vector<ConstView> other = views;
  const ConcatArgs good{views, y.view()};
  const auto reject = [&](auto change) { return rejects(concat, "concat", good, change); };
  EXPECT_TRUE(reject([](auto& args) { args.y.c = 5; }));
  EXPECT_TRUE(reject([&](auto& args) { args.y.data = a.data(); }));
  other[1].h = 2;
  EXPECT_TRUE(reject([&](auto& args) { args.inputs = other; }));
  std::vector<ConstView> narrow = views;
  for (ConstView& view : narrow) view.dtype = DType::bf16;
  EXPECT_TRUE(bf16_has_bodies() || reject([&](auto& args) {
                args.inputs = narrow;
                args.y.dtype = DType::bf16;
              }));
}

template <typename T>
class Copy : public OpTest {};
TYPED_TEST_SUITE(Copy, FloatTypes);

TYPED_TEST(Copy, CopiesBitForBit) {
  for (const Shape& shape : kShapes) {
    for (const Gap x_gap : kGaps) {
      for (const Gap y_gap : kGaps) {
        auto x = operand<TypeParam>(shape, x_gap), y = operand<TypeParam>(shape, y_gap);
        x.random(1);
        if (x.elems() > 1) {
          x.at(0, 0) = -TypeParam{0};
          x.at(x.rows() - 1, shape.c - 1) = std::numeric_limits<TypeParam>::quiet_NaN();
        }
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
          y.poison();
          const CopyArgs args{x.view(), y.view()};
          copy(context, {&args, 1});
          Outputs original;
          original.keep("y", x);
          outputs.keep("y", y);
          if (AssertionResult result = outputs.identical(original); !result) return result;
          return y.written();
        })) << describe(shape);
      }
    }
  }
}

TYPED_TEST(Copy, RunsAGroupOfDifferentSizes) {
  std::vector<Operand<TypeParam>> from, to;
  std::vector<CopyArgs> group;
  for (const Shape& shape : kShapes) {
    from.push_back(operand<TypeParam>(shape));
    to.push_back(operand<TypeParam>(shape, {1, 0}));
    from.back().random(3);
  }
  for (std::size_t i = 0; i < from.size(); ++i) group.push_back({from[i].view(), to[i].view()});
  ExecutionContext context = any_context(3);
  copy(context, group);
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_TRUE(compare("y", to[i], from[i].doubles(), {})) << describe(kShapes[i]);
  }
}

TYPED_TEST(Copy, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(2, 3, 3, 5), y(2, 3, 3, 5);
  const CopyArgs good{x.view(), y.view()};
  const auto reject = [&](auto change) { return rejects(copy, "copy", good, change); };
  EXPECT_TRUE(reject([](auto& a) { a.y.w = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(reject([](auto& a) { a.x.dtype = a.y.dtype = DType::i32; }));
}

template <typename T>
class Accumulate : public OpTest {};
TYPED_TEST_SUITE(Accumulate, FloatTypes);

TYPED_TEST(Accumulate, AddsWithOneRounding) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      auto x = operand<TypeParam>(shape, gap),
           y = operand<TypeParam>(shape, {gap.after, gap.before});
      x.random(1);
      y.random(2);
      std::vector<double> expected;
      const std::vector<TypeParam> a = x.values(), b = y.values();
      for (std::size_t i = 0; i < a.size(); ++i) {
        expected.push_back(static_cast<double>(static_cast<TypeParam>(a[i] + b[i])));
      }
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        y.random(2);
        const AccumulateArgs args{x.view(), y.view()};
        accumulate(context, {&args, 1});
        return compare("y", y, expected, {});
      })) << describe(shape);
    }
  }
}

TYPED_TEST(Accumulate, TheSameViewDoubles) {
  Operand<TypeParam> y(2, 5, 7, 17, {1, 2});
  y.integers(1);
  std::vector<double> expected = y.doubles();
  for (double& value : expected) value *= 2.0;
  const AccumulateArgs args{y.view(), y.view()};
  ExecutionContext context = any_context(2);
  accumulate(context, {&args, 1});
  EXPECT_TRUE(compare("y", y, expected, {}));
}

TYPED_TEST(Accumulate, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(2, 3, 3, 5, {1, 1}), y(2, 3, 3, 5);
  const AccumulateArgs good{x.view(), y.view()};
  const auto reject = [&](auto change) { return rejects(accumulate, "accumulate", good, change); };
  EXPECT_TRUE(reject([](auto& a) { a.y.n = 1; }));
  EXPECT_TRUE(reject([&](auto& a) {
    a.y = x.view();
    a.y.data = x.data() + 1;
  }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
}

template <typename T>
class Fill : public OpTest {};
TYPED_TEST_SUITE(Fill, FloatTypes);

TYPED_TEST(Fill, WritesTheValueAndNothingElse) {
  for (const Shape& shape : kShapes) {
    for (const Gap gap : kGaps) {
      for (const double value : {0.0, -1.5}) {
        auto y = operand<TypeParam>(shape, gap);
        const std::vector<double> expected(static_cast<std::size_t>(y.elems()), value);
        EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
          y.poison();
          const FillArgs args{y.view(), value};
          fill(context, {&args, 1});
          return compare("y", y, expected, {});
        })) << describe(shape);
      }
    }
  }
}

TYPED_TEST(Fill, RejectsWhatTheContractForbids) {
  Operand<TypeParam> y(2, 3, 3, 5);
  const FillArgs good{y.view(), 1.0};
  const auto reject = [&](auto change) { return rejects(fill, "fill", good, change); };
  EXPECT_TRUE(reject([](auto& a) { a.y.pitch = 4; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.n = -1; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.y.dtype = DType::bf16; }));
}

template <typename T>
class GatherRows : public OpTest {};
TYPED_TEST_SUITE(GatherRows, FloatTypes);

TYPED_TEST(GatherRows, PicksImages) {
  for (const Shape& shape : kShapes) {
    if (shape.n == 0) continue;
    for (const std::int64_t picked : {0, 1, 5}) {
      auto x = operand<TypeParam>(shape, {3, 1});
      Operand<TypeParam> y(picked, shape.h, shape.w, shape.c, {0, 2});
      auto index = Operand<std::int32_t>::vector(picked);
      x.random(1);
      index.integers(2, 0, shape.n - 1);
      std::vector<double> expected;
      for (std::int64_t i = 0; i < picked; ++i) {
        for (std::int64_t row = 0; row < shape.h * shape.w; ++row) {
          for (std::int64_t c = 0; c < shape.c; ++c) {
            expected.push_back(
                static_cast<double>(x.at(index.at(0, i) * shape.h * shape.w + row, c)));
          }
        }
      }
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        y.poison();
        const GatherRowsArgs args{x.view(), index.data(), y.view()};
        gather_rows(context, {&args, 1});
        return compare("y", y, expected, {});
      })) << describe(shape)
          << " picked " << picked;
    }
  }
}

TYPED_TEST(GatherRows, RejectsWhatTheContractForbids) {
  Operand<TypeParam> x(4, 3, 3, 5), y(2, 3, 3, 5);
  auto index = Operand<std::int32_t>::vector(2);
  index.fill(0);
  const GatherRowsArgs good{x.view(), index.data(), y.view()};
  const auto reject = [&](auto change) {
    return rejects(gather_rows, "gather_rows", good, change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.index = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.h = 2; }));
  EXPECT_TRUE(reject([](auto& a) { a.y.data = const_cast<void*>(a.x.data); }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.x.dtype = a.y.dtype = DType::bf16; }));
  EXPECT_TRUE(is_tag(y.at(0, 0)));  // nothing was written on the way
}

TYPED_TEST(GatherRows, IndicesOutsideThrowOrGiveNaN) {
  for (const std::int32_t bad : {4, -1, 1 << 30, std::numeric_limits<std::int32_t>::min()}) {
    for (const std::int64_t channels : {5, 8}) {
      Operand<TypeParam> x(4, 3, 3, channels), y(3, 3, 3, channels);
      auto index = Operand<std::int32_t>::vector(3);
      x.random(1);
      index.set(std::vector<std::int32_t>{2, bad, 3});
      const GatherRowsArgs args{x.view(), index.data(), y.view()};
      if (!bf16_has_bodies()) {
        EXPECT_TRUE(rejects(gather_rows, "gather_rows", args, [](auto&) {})) << bad;
        EXPECT_TRUE(is_tag(y.at(0, 0)));
        continue;
      }
      const std::vector<double> from = x.doubles();
      const auto image = static_cast<std::ptrdiff_t>(9 * channels);
      std::vector<double> expected(from.begin() + 2 * image, from.begin() + 3 * image);
      expected.resize(expected.size() + static_cast<std::size_t>(image),
                      std::numeric_limits<double>::quiet_NaN());
      expected.insert(expected.end(), from.begin() + 3 * image, from.end());
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
        y.poison();
        gather_rows(context, {&args, 1});
        return compare("y", y, expected, {});
      })) << bad;
    }
  }
}

template <typename T>
class ImageToFloat : public OpTest {};
TYPED_TEST_SUITE(ImageToFloat, FloatTypes);

template <typename T>
struct Images {
  Images(std::int64_t count, std::int64_t height, std::int64_t width, const Shape& out,
         Gap gap = {})
      : h(height),
        w(width),
        pixels(count, height, width, out.c),
        index(1, 1, 1, out.n),
        mean(1, 1, 1, out.c),
        std(1, 1, 1, out.c),
        y(out.n, out.h, out.w, out.c, gap),
        crops(static_cast<std::size_t>(out.n)) {
    pixels.integers(1, 0, 255);
    index.integers(2, 0, count - 1);
    mean.random(3, 100.0, 140.0);
    std.random(4, 50.0, 70.0);
    Random random(5);
    for (CropFlip& crop : crops) {
      crop.top = static_cast<std::int32_t>(random.integer(-4, 4));
      crop.left = static_cast<std::int32_t>(random.integer(-4, 4));
      crop.flip = random.integer(0, 1) == 1;
    }
  }
  ImageToFloatArgs args() {
    return {pixels.data(),
            pixels.rows() / (h * w),
            h,
            w,
            index.data(),
            crops.data(),
            mean.data(),
            std.data(),
            y.view()};
  }
  std::vector<double> expected() {
    std::vector<double> values;
    const View out = y.view();
    for (std::int64_t i = 0; i < y.elems(); ++i) {
      const std::int64_t c = i % out.c, ox = i / out.c % out.w, oy = i / out.c / out.w % out.h;
      const std::int64_t n = i / out.c / out.w / out.h;
      const CropFlip& crop = crops[static_cast<std::size_t>(n)];
      const std::int64_t yy = oy + crop.top;
      const std::int64_t xx = (crop.flip ? out.w - 1 - ox : ox) + crop.left;
      if (yy < 0 || yy >= h || xx < 0 || xx >= w) {
        values.push_back(0.0);
        continue;
      }
      const double pixel = pixels.at(index.at(0, n), yy, xx, c);
      values.push_back((pixel - static_cast<double>(mean.at(0, c))) /
                       static_cast<double>(std.at(0, c)));
    }
    return values;
  }
  std::int64_t h, w;
  Operand<std::uint8_t> pixels;
  Operand<std::int64_t> index;
  Operand<float> mean, std;
  Operand<T> y;
  std::vector<CropFlip, OperandAllocator<CropFlip>> crops;
};

TYPED_TEST(ImageToFloat, CropsFlipsAndNormalises) {
  // As large as the image, smaller, larger; 3 channels and others.
  for (const Shape& out :
       {Shape{5, 32, 32, 3}, Shape{3, 9, 7, 1}, Shape{2, 40, 41, 3}, Shape{4, 5, 6, 17},
        Shape{1, 1, 1, 3}, Shape{0, 8, 8, 3}, Shape{2, 8, 8, 0}}) {
    for (const Gap gap : {Gap{0, 0}, Gap{0, 1}, Gap{3, 2}}) {
      Images<TypeParam> images(6, 32, 30, out, gap);
      const std::vector<double> expected = images.expected();
      // (v - mean) is below 256/50 and each of three roundings is relative.
      const double eps = std::numeric_limits<TypeParam>::epsilon();
      EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
        images.y.poison();
        const ImageToFloatArgs args = images.args();
        image_to_float(context, {&args, 1});
        outputs.keep("y", images.y);
        return compare("y", images.y, expected, {0.0, 4.0 * eps});
      })) << describe(out);
    }
  }
}

TYPED_TEST(ImageToFloat, WithoutCropsTakesTheImageAsItIs) {
  Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
  std::fill(images.crops.begin(), images.crops.end(), CropFlip{});
  images.mean.fill(128.0f);
  images.std.fill(64.0f);  // exact
  const std::vector<double> expected = images.expected();
  ImageToFloatArgs args = images.args();
  args.crops = nullptr;
  for (ExecutionContext& context : every_context()) {
    image_to_float(context, {&args, 1});
    EXPECT_TRUE(compare("y", images.y, expected, {}));
  }
}

TYPED_TEST(ImageToFloat, CropsFarOutsideAreTheMeanColour) {
  Images<TypeParam> images(4, 6, 7, {4, 6, 7, 3});
  images.crops = {{100, 0, false}, {-100, 0, true}, {0, 100, false}, {0, -2147483647, true}};
  const ImageToFloatArgs args = images.args();
  for (ExecutionContext& context : every_context()) {
    image_to_float(context, {&args, 1});
    EXPECT_TRUE(compare("y", images.y, std::vector<double>(4 * 6 * 7 * 3), {}));
  }
}

TYPED_TEST(ImageToFloat, RejectsWhatTheContractForbids) {
  Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
  const auto reject = [&](auto change) {
    return rejects(image_to_float, "image_to_float", images.args(), change);
  };
  EXPECT_TRUE(reject([](auto& a) { a.images = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.index = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.std = nullptr; }));
  EXPECT_TRUE(reject([](auto& a) { a.count = 0; }));
  EXPECT_TRUE(bf16_has_bodies() || reject([](auto& a) { a.y.dtype = DType::bf16; }));
}

TYPED_TEST(ImageToFloat, IndicesOutsideThrowOrGiveNaN) {
  for (const std::int64_t index : {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 62}) {
    Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
    std::vector<double> expected = images.expected();
    std::fill(expected.begin() + 6 * 7 * 3, expected.begin() + 2 * 6 * 7 * 3,
              std::numeric_limits<double>::quiet_NaN());
    images.index.at(0, 1) = index;
    if (!bf16_has_bodies()) {
      EXPECT_TRUE(rejects(image_to_float, "image_to_float", images.args(), [](auto&) {})) << index;
      continue;
    }
    EXPECT_TRUE(on_every_backend([&](ExecutionContext& context, Outputs&) {
      images.y.poison();
      const ImageToFloatArgs args = images.args();
      image_to_float(context, {&args, 1});
      return compare("y", images.y, expected,
                     {0.0, 4.0 * static_cast<double>(std::numeric_limits<TypeParam>::epsilon())});
    })) << index;
  }
}

TYPED_TEST(ImageToFloat, DeviationsNotAboveZeroThrowOrGiveNaN) {
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    Images<TypeParam> images(4, 6, 7, {3, 6, 7, 3});
    images.std.at(0, 2) = bad;
    ImageToFloatArgs args = images.args();
    args.crops = nullptr;
    if (!bf16_has_bodies()) {
      EXPECT_TRUE(rejects(image_to_float, "image_to_float", args, [](auto&) {})) << bad;
      continue;
    }
    ExecutionContext context = any_context();
    image_to_float(context, {&args, 1});
    for (std::int64_t i = 0; i < images.y.elems(); ++i) {
      EXPECT_EQ(std::isnan(images.y.data()[i]), i % 3 == 2) << bad << " at " << i;
    }
  }
}

}  // namespace
}  // namespace msd::test
