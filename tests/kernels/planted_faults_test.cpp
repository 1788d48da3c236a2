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

// Four slices of K or more, so that every stage is used again; the four tiles; whole and odd
// copies.
TEST(PlantedFaults, ConvForward) {
  for (const std::int64_t cout : {6, 12, 24, 40}) {
    const ConvGeometry g{20, cout, 3, 1, 1};
    Operand<float> x(1, 12, 13, g.cin, {cout == 12 ? 1 : 0, 0}), y(1, 12, 13, cout);
    Operand<float> weight = Operand<float>::vector(g.weight_elems());
    Operand<float> packed = Operand<float>::vector(conv_packed_elems(g, ConvPass::forward));
    x.random(1), weight.random(2);
    inspect([&](ExecutionContext& context, Outputs& out) {
      packed.poison(), y.poison();
      const ConvPackArgs pack{weight.data(), packed.data(), g, ConvPass::forward, DType::f32};
      conv_pack(context, {&pack, 1});
      const ConvForwardArgs args{x.view(), packed.data(), nullptr, y.view(), g, false};
      conv_forward(context, {&args, 1});
      out.keep("packed", packed), out.keep("y", y);
    });
  }
}

// As above; with stride 2 the largest phase has 4 taps and the last block has rows.
TEST(PlantedFaults, ConvBackwardData) {
  for (const std::int64_t cin : {6, 12, 24, 40}) {
    const ConvGeometry g{cin, 20, 3, cin == 6 || cin == 40 ? 2 : 1, 1};
    Operand<float> dx(1, 12, 13, cin);
    Operand<float> dy(1, g.out_size(12), g.out_size(13), g.cout, {cin == 12 ? 1 : 0, 0});
    Operand<float> weight = Operand<float>::vector(g.weight_elems());
    Operand<float> packed = Operand<float>::vector(conv_packed_elems(g, ConvPass::backward_data));
    dy.random(1), weight.random(2);
    inspect([&](ExecutionContext& context, Outputs& out) {
      packed.poison(), dx.random(3);
      const ConvPackArgs pack{weight.data(), packed.data(), g, ConvPass::backward_data, DType::f32};
      conv_pack(context, {&pack, 1});
      const ConvBackwardDataArgs args{dy.view(), packed.data(), dx.view(), g, cin == 24};
      conv_backward_data(context, {&args, 1});
      out.keep("packed", packed), out.keep("dx", dx);
    });
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
  gradient.random(1);
  inspect([&](ExecutionContext& context, Outputs& out) {
    weight.random(2), velocity.random(3);
    const SgdArgs args{.weight = weight.data(),
                       .gradient = gradient.data(),
                       .velocity = velocity.data(),
                       .count = 3001,
                       .lr = 0.1};
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

}  // namespace
}  // namespace msd::test
