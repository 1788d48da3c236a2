// SPDX-License-Identifier: MIT
#include "tests/kernels/fault_inspection.h"

#include <utility>
#include <vector>

#include "kernels/check.h"
#include "tests/emulation/planting.h"

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

}  // namespace

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

}  // namespace msd::test
