// SPDX-License-Identifier: MIT
// Every kernel with every fault that can be planted into it (tests/emulation/planting.h), line by
// line: the ways the ops' tests run in must show each of them, as other bits or as an error. A
// barrier that can go without anybody noticing is one too many, or the tests are blind.
#include <functional>
#include <memory>
#include <vector>

#include "kernels/error.h"
#include "tests/emulation/planting.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {
namespace {

using emulation::Fault;
using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAsan = true;
#else
constexpr bool kAsan = false;
#endif

/// An op on operands of its own that keeps what it wrote.
using Subject = std::function<void(ExecutionContext&, Outputs&)>;

/// Whether some variant notices; the first run, without a fault, says what is right.
class Inspection {
 public:
  explicit Inspection(Subject subject) : subject_(std::move(subject)) {}

  AssertionResult clean() {
    emulation::note_places();
    const AssertionResult result = on_every_backend([&](ExecutionContext& context, Outputs& out) {
      subject_(context, out);
      expected_ = out;
      return AssertionSuccess();
    });
    for (int i = 0; i < emulation::noted_places(); ++i) {
      places_.push_back(emulation::noted_place(i));
    }
    return result;
  }

  AssertionResult notices(const emulation::Place& place) {
    if (place.fault == Fault::short_array) return dies(place);
    emulation::plant(place);
    AssertionResult same = AssertionSuccess();
    try {
      same = on_every_backend([&](ExecutionContext& context, Outputs& out) {
        subject_(context, out);
        return expected_.identical(out);
      });
    } catch (const CudaError&) {
      same = AssertionFailure();
    }
    emulation::pull_out();
    return same ? AssertionFailure() << "unnoticed: " << text(place) : AssertionSuccess();
  }

  const std::vector<emulation::Place>& places() const { return places_; }

 private:
  static std::string text(const emulation::Place& place) {
    return message(emulation::name(place.fault), " at ", place.site.file, ":", place.site.line);
  }
  /// An overrun of shared memory is AddressSanitizer's to find.
  AssertionResult dies(const emulation::Place& place) {
    if (!kAsan) return AssertionSuccess();
    const auto run = [&] {
      emulation::plant(place);
      static_cast<void>(on_every_backend([&](ExecutionContext& context, Outputs& out) {
        subject_(context, out);
        return AssertionSuccess();
      }));
    };
    EXPECT_DEATH(run(), "AddressSanitizer") << text(place);
    return AssertionSuccess();
  }

  Subject subject_;
  Outputs expected_;
  std::vector<emulation::Place> places_;
};

void inspect(const Subject& subject) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "TSan ends the program at the first race it is shown; race_test.cpp has those";
#endif
  Inspection inspection(subject);
  ASSERT_TRUE(inspection.clean());
  ASSERT_FALSE(inspection.places().empty());
  for (const emulation::Place& place : inspection.places()) {
    EXPECT_TRUE(inspection.notices(place));
  }
  EXPECT_TRUE(inspection.clean()) << "the fault has not been pulled out";
}

struct Channels {
  explicit Channels(std::int64_t c)
      : gamma(Operand<float>::vector(c)),
        beta(Operand<float>::vector(c)),
        mean(Operand<float>::vector(c)),
        variance(Operand<float>::vector(c)),
        dgamma(Operand<float>::vector(c)),
        dbeta(Operand<float>::vector(c)) {
    gamma.random(1, 0.5, 1.5), beta.random(2);
  }
  Operand<float> gamma, beta, mean, variance, dgamma, dbeta;
};

// Several chunks of rows and several tiles of channels.
constexpr std::int64_t kRows = 700, kChannels = 37;

TEST(PlantedFaults, BatchnormForward) {
  Operand<float> x(2, kRows / 2, 1, kChannels), y(2, kRows / 2, 1, kChannels);
  Operand<float> saved_mean = Operand<float>::vector(kChannels),
                 saved_invstd = saved_mean.vector(kChannels);
  Channels c(kChannels);
  x.random(3);
  inspect([&](ExecutionContext& context, Outputs& out) {
    c.mean.fill(0.5f), c.variance.fill(2.0f);
    y.poison(), saved_mean.poison(), saved_invstd.poison();
    const BatchNormForwardArgs args{.x = x.view(),
                                    .y = y.view(),
                                    .gamma = c.gamma.data(),
                                    .beta = c.beta.data(),
                                    .running_mean = c.mean.data(),
                                    .running_var = c.variance.data(),
                                    .saved_mean = saved_mean.data(),
                                    .saved_invstd = saved_invstd.data()};
    batchnorm_forward(context, {&args, 1});
    out.keep("y", y), out.keep("mean", c.mean), out.keep("variance", c.variance);
    out.keep("saved mean", saved_mean), out.keep("saved invstd", saved_invstd);
  });
}

// Several chunks of parts and several tiles of channels.
TEST(PlantedFaults, BatchnormForwardFromStatistics) {
  Operand<float> x(1, 33, 65, kChannels), y(1, 33, 65, kChannels);
  Operand<float> memory = Operand<float>::vector(batch_statistics_bytes(x.view()) / 4);
  Operand<float> saved_mean = memory.vector(kChannels), saved_invstd = memory.vector(kChannels);
  Channels c(kChannels);
  x.random(3), memory.random(4, 0.5, 1.5);
  const BatchStatistics statistics{memory.data(), 4 * memory.elems(), x.view()};
  inspect([&](ExecutionContext& context, Outputs& out) {
    c.mean.fill(0.5f), c.variance.fill(2.0f);
    y.poison(), saved_mean.poison(), saved_invstd.poison();
    const BatchNormForwardArgs args{.x = x.view(),
                                    .y = y.view(),
                                    .gamma = c.gamma.data(),
                                    .beta = c.beta.data(),
                                    .running_mean = c.mean.data(),
                                    .running_var = c.variance.data(),
                                    .saved_mean = saved_mean.data(),
                                    .saved_invstd = saved_invstd.data(),
                                    .statistics = &statistics};
    batchnorm_forward(context, {&args, 1});
    out.keep("y", y), out.keep("mean", c.mean), out.keep("variance", c.variance);
    out.keep("saved mean", saved_mean), out.keep("saved invstd", saved_invstd);
  });
}

TEST(PlantedFaults, BatchnormBackward) {
  Operand<float> x(2, kRows / 2, 1, kChannels), dy(2, kRows / 2, 1, kChannels);
  Operand<float> dx(2, kRows / 2, 1, kChannels);
  Channels c(kChannels);
  x.random(3), dy.random(4), c.mean.random(5), c.variance.random(6, 0.5, 2.0);
  inspect([&](ExecutionContext& context, Outputs& out) {
    dx.poison(), c.dgamma.poison(), c.dbeta.poison();
    const BatchNormBackwardArgs args{.x = x.view(),
                                     .dy = dy.view(),
                                     .dx = dx.view(),
                                     .gamma = c.gamma.data(),
                                     .beta = c.beta.data(),
                                     .saved_mean = c.mean.data(),
                                     .saved_invstd = c.variance.data(),
                                     .dgamma = c.dgamma.data(),
                                     .dbeta = c.dbeta.data()};
    batchnorm_backward(context, {&args, 1});
    out.keep("dx", dx), out.keep("dgamma", c.dgamma), out.keep("dbeta", c.dbeta);
  });
}

TEST(PlantedFaults, BatchnormInference) {
  Operand<float> x(2, kRows / 2, 1, kChannels), y(2, kRows / 2, 1, kChannels);
  Channels c(kChannels);
  x.random(3), c.mean.random(5), c.variance.random(6, 0.5, 2.0);
  inspect([&](ExecutionContext& context, Outputs& out) {
    y.poison();
    const BatchNormInferenceArgs args{.x = x.view(),
                                      .y = y.view(),
                                      .gamma = c.gamma.data(),
                                      .beta = c.beta.data(),
                                      .running_mean = c.mean.data(),
                                      .running_var = c.variance.data()};
    batchnorm_inference(context, {&args, 1});
    out.keep("y", y);
  });
}

/// A convolution with operands of its own.
struct Convolution {
  Convolution(const ConvGeometry& geometry, ConvPass pass_, std::int64_t h, std::int64_t w, Gap gap)
      : g(geometry),
        pass(pass_),
        forward(pass == ConvPass::forward),
        x(1, h, w, g.cin, forward ? gap : Gap{}),
        y(1, g.out_size(h), g.out_size(w), g.cout, forward ? Gap{} : gap),
        weight(Operand<float>::vector(g.weight_elems())),
        packed(Operand<float>::vector(conv_packed_elems(g, pass))),
        memory(Operand<float>::vector(batch_statistics_bytes(y.view()) / 4)) {
    (forward ? x : y).random(1), weight.random(2);
  }

  void run(ExecutionContext& context, Outputs& out, bool accumulate) {
    packed.poison();
    const ConvPackArgs pack{weight.data(), packed.data(), g, pass, DType::f32};
    conv_pack(context, {&pack, 1});
    out.keep("packed", packed);
    if (forward) {
      y.poison(), memory.poison();
      BatchStatistics statistics{memory.data(), 4 * memory.elems(), {}};
      const ConvForwardArgs args{x.view(), packed.data(), nullptr, y.view(), g, false, &statistics};
      conv_forward(context, {&args, 1});
      out.keep("y", y), out.keep("statistics", memory);
    } else {
      x.random(3);
      const ConvBackwardDataArgs args{y.view(), packed.data(), x.view(), g, accumulate};
      conv_backward_data(context, {&args, 1});
      out.keep("dx", x);
    }
  }

  ConvGeometry g;
  ConvPass pass;
  bool forward;
  Operand<float> x, y, weight, packed, memory;
};

// With the largest halo and with gathered rows (the largest phase of a stride of 2 has 4 taps), of
// both passes. Four slices of K or more, so that every stage is used again; the four tiles; whole
// and odd copies; last blocks that have rows.
TEST(PlantedFaults, ConvForwardAndBackwardData) {
  for (const ConvPass pass : {ConvPass::forward, ConvPass::backward_data}) {
    for (const std::int64_t channels : {6, 12, 24, 40}) {
      const bool forward = pass == ConvPass::forward;
      const std::int64_t cin = forward ? 20 : channels, cout = forward ? channels : 20;
      const Gap gap{channels == 12 ? 1 : 0, 0};
      Convolution halo({cin, cout, 3, 1, 1}, pass, 3, 56, gap);
      Convolution gathered({cin, cout, 3, 2, 1}, pass, forward ? 24 : 12, 25, gap);
      SCOPED_TRACE(message(forward ? "forward, " : "backward, ", channels));
      inspect([&](ExecutionContext& context, Outputs& out) {
        halo.run(context, out, channels == 24);
        gathered.run(context, out, channels == 24);
      });
    }
  }
}

// Four slices of rows or more in each of two splits, whole tiles of groups; the four tiles.
TEST(PlantedFaults, ConvBackwardWeight) {
  for (const std::int64_t cout : {6, 12, 24, 40}) {
    const std::int64_t stride = cout == 12 ? 2 : 1, size = 13 * stride;
    const ConvGeometry g{cout == 40 ? 40 : 20, cout, 3, stride, 1};
    Operand<float> x(2, size, size, g.cin, {cout == 24 ? 1 : 0, 0}), dy(2, 13, 13, cout);
    Operand<float> dw = Operand<float>::vector(g.weight_elems());
    Operand<float> dbias = Operand<float>::vector(cout);
    const std::int64_t bytes = conv_backward_weight_workspace_bytes(g, 2, size, size, DType::f32);
    Operand<float> workspace = Operand<float>::vector(bytes / 4);
    x.random(1), dy.random(2);
    inspect([&](ExecutionContext& context, Outputs& out) {
      dw.poison(), dbias.poison(), workspace.poison();
      const ConvBackwardWeightArgs args{x.view(), dy.view(),        dw.data(), dbias.data(),
                                        g,        workspace.data(), bytes};
      conv_backward_weight(context, {&args, 1});
      out.keep("dw", dw), out.keep("dbias", dbias);
    });
  }
}

TEST(PlantedFaults, FiniteCheck) {
  Operand<float> data = Operand<float>::vector(40000);
  data.random(1);
  data.at(0, 33) =
      std::numeric_limits<float>::infinity();  // with lane 1 of warp 1, which a wrong lane misses
  Operand<std::int64_t> first = Operand<std::int64_t>::vector(1);
  inspect([&](ExecutionContext& context, Outputs& out) {
    first.poison();
    const FiniteCheckArgs args{data.data(), data.elems(), DType::f32, first.data()};
    finite_check(context, {&args, 1});
    out.keep("first", first);
  });
}

TEST(PlantedFaults, Sgd) {
  Operand<float> weight = Operand<float>::vector(3001), gradient = weight.vector(3001);
  Operand<float> velocity = weight.vector(3001);
  Operand<double> lr = Operand<double>::vector(1);
  gradient.random(1), lr.fill(0.1);
  inspect([&](ExecutionContext& context, Outputs& out) {
    weight.random(2), velocity.random(3);
    const SgdArgs args{.weight = weight.data(),
                       .gradient = gradient.data(),
                       .velocity = velocity.data(),
                       .count = 3001,
                       .lr = lr.data()};
    sgd(context, {&args, 1});
    out.keep("weight", weight), out.keep("velocity", velocity);
  });
}

TEST(PlantedFaults, RowMoves) {
  Operand<float> x(2, 31, 9, 17, {1, 2}), y(2, 31, 9, 17, {2, 1});
  x.random(1);
  const auto moved = [&](auto op, auto args) {
    inspect([&, args](ExecutionContext& context, Outputs& out) {
      y.fill(0.25f);
      op(context, std::span(&args, 1));
      out.keep("y", y);
    });
  };
  moved(copy, CopyArgs{x.view(), y.view()});
  moved(accumulate, AccumulateArgs{x.view(), y.view()});
  moved(fill, FillArgs{y.view(), 3.0});
}

TEST(PlantedFaults, Concat) {
  Operand<float> a(2, 31, 9, 17, {1, 2}), b(2, 31, 9, 6), y(2, 31, 9, 23);
  a.random(1), b.random(2);
  const std::vector<ConstView> inputs = {a.view(), b.view()};
  inspect([&](ExecutionContext& context, Outputs& out) {
    y.poison();
    const ConcatArgs args{inputs, y.view()};
    concat(context, {&args, 1});
    out.keep("y", y);
  });
}

TEST(PlantedFaults, Pooling) {
  Operand<float> large(2, 13, 11, 17), small(2, 7, 6, 17), out(2, 7, 6, 17), dx(2, 13, 11, 17);
  Operand<float> mean(2, 6, 5, 17);
  large.random(1), small.random(2);
  const auto pooled = [&](auto op, auto args, Operand<float>& result) {
    inspect([&, args](ExecutionContext& context, Outputs& outputs) {
      result.poison();
      op(context, std::span(&args, 1));
      outputs.keep("result", result);
    });
  };
  pooled(max_pool_forward, MaxPoolForwardArgs{large.view(), out.view(), {3, 2, 1}}, out);
  pooled(max_pool_backward,
         MaxPoolBackwardArgs{large.view(), small.view(), dx.view(), {3, 2, 1}, false}, dx);
  pooled(avg_pool_forward, AvgPoolForwardArgs{large.view(), mean.view(), 2, 2}, mean);
  const Operand<float> dmean = std::move(Operand<float>(2, 6, 5, 17).random(3));
  pooled(avg_pool_backward, AvgPoolBackwardArgs{dmean.view(), dx.view(), 2, 2, false}, dx);
}

TEST(PlantedFaults, Linear) {
  Operand<float> x(13, 1, 1, 40), y(13, 1, 1, 18), dy(13, 1, 1, 18), dx(13, 1, 1, 40);
  Operand<float> weight(1, 1, 18, 40), dw(1, 1, 18, 40), bias(1, 1, 1, 18), dbias(1, 1, 1, 18);
  x.random(1), dy.random(2), weight.random(3), bias.random(4);
  inspect([&](ExecutionContext& context, Outputs& out) {
    y.poison();
    const LinearForwardArgs args{x.view(), weight.data(), bias.data(), y.view()};
    linear_forward(context, {&args, 1});
    out.keep("y", y);
  });
  inspect([&](ExecutionContext& context, Outputs& out) {
    dx.poison(), dw.poison(), dbias.poison();
    const LinearBackwardArgs args{x.view(),  dy.view(),    weight.data(), dx.view(),
                                  dw.data(), dbias.data(), false};
    linear_backward(context, {&args, 1});
    out.keep("dx", dx), out.keep("dw", dw), out.keep("dbias", dbias);
  });
}

TEST(PlantedFaults, Softmax) {
  constexpr std::int64_t kClasses = 70;
  Operand<float> logits(21, 1, 1, kClasses), out(21, 1, 1, kClasses);
  Operand<float> loss = Operand<float>::vector(1), max = loss.vector(21), second = loss.vector(21),
                 entropy = loss.vector(21);
  Operand<std::int32_t> labels(1, 1, 1, 21), argmax(1, 1, 1, 21), top5(21, 1, 1, 5);
  logits.random(1, -4.0, 4.0), labels.integers(2, 0, kClasses - 1);
  inspect([&](ExecutionContext& context, Outputs& outputs) {
    loss.poison(), out.poison();
    const SoftmaxCrossEntropyArgs args{logits.view(), labels.data(), 1.0, loss.data(), out.view()};
    softmax_cross_entropy(context, {&args, 1});
    outputs.keep("loss", loss), outputs.keep("dlogits", out);
  });
  inspect([&](ExecutionContext& context, Outputs& outputs) {
    out.poison(), max.poison(), second.poison(), entropy.poison(), argmax.poison(), top5.poison();
    const SoftmaxConfidenceArgs args{logits.view(),  out.view(),    max.data(), second.data(),
                                     entropy.data(), argmax.data(), top5.data()};
    softmax_confidence(context, {&args, 1});
    outputs.keep("probabilities", out), outputs.keep("max", max), outputs.keep("second", second);
    outputs.keep("entropy", entropy), outputs.keep("argmax", argmax), outputs.keep("top5", top5);
  });
}

TEST(PlantedFaults, SelectSurvivors) {
  Operand<float> confidence = Operand<float>::vector(3100);
  Operand<std::int32_t> survivors = Operand<std::int32_t>::vector(3100);
  Operand<std::int32_t> count = survivors.vector(1);
  confidence.random(1);
  inspect([&](ExecutionContext& context, Outputs& out) {
    survivors.poison(), count.poison();
    const SelectSurvivorsArgs args{confidence.data(), 3100,        DType::f32, 0.25,
                                   survivors.data(),  count.data()};
    select_survivors(context, {&args, 1});
    out.keep("survivors", survivors), out.keep("count", count);
  });
}

// As many exits as a launch takes, so that all of the shared memory is used.
TEST(PlantedFaults, CountExits) {
  std::vector<Operand<float>> logits;
  std::vector<ConstView> views;
  for (std::uint64_t k = 0; k < 16; ++k) {
    logits.emplace_back(21, 1, 1, 37);
    logits.back().random(k + 1, -4.0, 4.0);
  }
  for (const auto& each : logits) views.push_back(each.view());
  Operand<std::int32_t> labels(1, 1, 1, 21);
  Operand<float> sums(1, 1, 21, 37);
  Operand<double> loss_sum = Operand<double>::vector(16);
  Operand<std::int64_t> correct = Operand<std::int64_t>::vector(64);
  labels.integers(2, 0, 36);
  inspect([&](ExecutionContext& context, Outputs& out) {
    sums.poison(), loss_sum.fill(0.0), correct.fill(0);
    const CountExitsArgs args{views, labels.data(), sums.data(), loss_sum.data(), correct.data()};
    count_exits(context, {&args, 1});
    out.keep("loss_sum", loss_sum), out.keep("correct", correct), out.keep("sums", sums);
  });
}

TEST(PlantedFaults, Images) {
  Operand<std::uint8_t> pixels(3, 12, 13, 3);
  Operand<std::int64_t> from(1, 1, 1, 2);
  Operand<std::int32_t> index(1, 1, 1, 2);
  Operand<float> mean(1, 1, 1, 3), std(1, 1, 1, 3), y(2, 12, 13, 3), x(3, 12, 13, 3);
  pixels.integers(1, 0, 255), from.integers(2, 0, 2), index.integers(3, 0, 2);
  mean.random(4), std.random(5, 0.5, 1.0), x.random(6);
  inspect([&](ExecutionContext& context, Outputs& out) {
    y.poison();
    const ImageToFloatArgs args{.images = pixels.data(),
                                .count = 3,
                                .h = 12,
                                .w = 13,
                                .index = from.data(),
                                .mean = mean.data(),
                                .std = std.data(),
                                .y = y.view()};
    image_to_float(context, {&args, 1});
    out.keep("y", y);
  });
  inspect([&](ExecutionContext& context, Outputs& out) {
    y.poison();
    const GatherRowsArgs args{x.view(), index.data(), y.view()};
    gather_rows(context, {&args, 1});
    out.keep("y", y);
  });
}

}  // namespace
}  // namespace msd::test
