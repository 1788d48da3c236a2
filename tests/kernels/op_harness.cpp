// SPDX-License-Identifier: MIT
#include "tests/kernels/op_harness.h"

#include <array>
#include <atomic>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "kernels/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace msd::test {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

constexpr std::size_t kFenceBytes = 256;
constexpr std::size_t kAlignment = 64;

// Tells AddressSanitizer, where there is one, whether memory may be touched.
void allow_access([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(begin, bytes);
#endif
}
void forbid_access([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(begin, bytes);
#endif
}

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

template <typename T>
bool same_bits(T a, T b) {
  using Bytes = std::array<std::byte, sizeof(T)>;
  return std::bit_cast<Bytes>(a) == std::bit_cast<Bytes>(b);
}

template <typename T>
std::string show(T value) {
  return std::to_string(value) + (is_tag(value) ? " (a tag)" : "");
}

}  // namespace

std::uint64_t Random::bits() { return mix(state_ += 0x9E3779B97F4A7C15u); }
double Random::uniform(double low, double high) {
  return low + (high - low) * static_cast<double>(bits() >> 11) * 0x1p-53;
}
std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  const auto range = static_cast<std::uint64_t>(high - low) + 1;
  return low + static_cast<std::int64_t>(bits() % range);
}

// A NaN's three top fraction bits survive float <-> double and, with the operand first, arithmetic:
// 101 marks a tag, the rest tells tags apart. The sign is left out: negation flips it.
template <typename T>
T tag_of(std::uint64_t source) {
  const std::uint64_t hash = mix(source);
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<float>(0x7FD00000u | static_cast<std::uint32_t>(hash & 0x000FFFFFu));
  } else if constexpr (std::is_same_v<T, double>) {
    return std::bit_cast<double>(0x7FFA000000000000u | (hash & 0x0001FFFFFFFFFFFFu));
  } else if constexpr (sizeof(T) == 1) {
    return static_cast<T>(hash);
  } else {
    // 0x5A in the top byte: far outside the indices and labels tests use.
    return static_cast<T>((std::uint64_t{0x5A} << (8 * sizeof(T) - 8)) | (hash & 0x00FFFFFFu));
  }
}

template <typename T>
bool is_tag(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return (std::bit_cast<std::uint32_t>(value) & 0x7FF00000u) == 0x7FD00000u;
  } else if constexpr (std::is_same_v<T, double>) {
    return (std::bit_cast<std::uint64_t>(value) & 0x7FFE000000000000u) == 0x7FFA000000000000u;
  } else if constexpr (sizeof(T) == 1) {
    return false;
  } else {
    return (static_cast<std::uint64_t>(value) >> (8 * sizeof(T) - 8) & 0xFFu) == 0x5Au;
  }
}

template <typename T>
Operand<T>::Operand(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, Gap gap)
    : n_(n), h_(h), w_(w), c_(c), gap_before_(gap.before), pitch_(gap.before + c + gap.after) {
  static std::atomic<std::uint64_t> next_id{1};
  id_ = next_id++ << 32;
  const std::size_t fence = kFenceBytes / sizeof(T);
  const std::size_t slack = kAlignment / sizeof(T);  // to move row 0 to a boundary
  memory_.resize(2 * fence + slack + static_cast<std::size_t>(n * h * w * pitch_));
  const auto address = reinterpret_cast<std::uintptr_t>(memory_.data() + fence);
  const std::size_t past = address % kAlignment;
  first_ = static_cast<std::ptrdiff_t>(fence + (past == 0 ? 0 : (kAlignment - past) / sizeof(T)));
  for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = tag_at(i);
  forbid_guards();
}

template <typename T>
bool Operand<T>::in_view(std::size_t i) const {
  const std::int64_t offset = static_cast<std::int64_t>(i) - first_;
  if (offset < 0 || offset >= rows() * pitch_) return false;
  const std::int64_t channel = offset % pitch_ - gap_before_;
  return channel >= 0 && channel < c_;
}

// The sanitizer's grain is 8 bytes, of which it can forbid the last ones only: a gap's end that
// shares its grain with the view stays open.
template <typename T>
void Operand<T>::forbid_guards() const {
  for (std::size_t begin = 0; begin < memory_.size();) {
    std::size_t end = begin;
    while (end < memory_.size() && !in_view(end)) ++end;
    forbid_access(memory_.data() + begin, (end - begin) * sizeof(T));
    begin = end;
    while (begin < memory_.size() && in_view(begin)) ++begin;
  }
}

template <typename T>
void Operand<T>::allow_guards() const {
  allow_access(memory_.data(), memory_.size() * sizeof(T));
}

template <typename T>
void Operand<T>::plant(std::int64_t row, std::int64_t channel, T value) {
  allow_guards();
  at(row, channel) = value;
  forbid_guards();
}

template <typename T>
T Operand<T>::tag_at(std::size_t i) const {
  return tag_of<T>(id_ + i);
}

template <typename T>
Operand<T>& Operand<T>::fill(T value) {
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) at(row, i) = value;
  }
  return *this;
}

template <typename T>
Operand<T>& Operand<T>::random(std::uint64_t seed, double low, double high) {
  Random random(seed_ = seed);
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) at(row, i) = static_cast<T>(random.uniform(low, high));
  }
  return *this;
}

template <typename T>
Operand<T>& Operand<T>::integers(std::uint64_t seed, std::int64_t low, std::int64_t high) {
  Random random(seed_ = seed);
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) at(row, i) = static_cast<T>(random.integer(low, high));
  }
  return *this;
}

template <typename T>
Operand<T>& Operand<T>::set(std::span<const T> packed) {
  if (static_cast<std::int64_t>(packed.size()) != elems()) {
    throw std::invalid_argument("Operand::set: wrong number of values");
  }
  std::size_t next = 0;
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) at(row, i) = packed[next++];
  }
  return *this;
}

template <typename T>
Operand<T>& Operand<T>::poison() {
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) {
      at(row, i) = tag_at(static_cast<std::size_t>(&at(row, i) - memory_.data()));
    }
  }
  return *this;
}

template <typename T>
std::vector<T> Operand<T>::values() const {
  std::vector<T> packed;
  packed.reserve(static_cast<std::size_t>(elems()));
  for (std::int64_t row = 0; row < rows(); ++row) {
    for (std::int64_t i = 0; i < c_; ++i) packed.push_back(at(row, i));
  }
  return packed;
}

template <typename T>
std::vector<double> Operand<T>::doubles() const {
  const std::vector<T> packed = values();
  return {packed.begin(), packed.end()};
}

template <typename T>
AssertionResult Operand<T>::intact() const {
  allow_guards();
  std::size_t i = 0;
  while (i < memory_.size() && (in_view(i) || same_bits(memory_[i], tag_at(i)))) ++i;
  const std::string found = i < memory_.size() ? show(memory_[i]) : "";
  forbid_guards();
  if (i == memory_.size()) return AssertionSuccess();
  const std::int64_t offset = static_cast<std::int64_t>(i) - first_;
  AssertionResult failure = AssertionFailure();
  if (offset < 0) {
    failure << "the fence " << -offset << " elements before the first row";
  } else if (offset >= rows() * pitch_) {
    failure << "the fence " << offset - rows() * pitch_ + 1 << " elements after the last row";
  } else {
    failure << "the gap of row " << offset / pitch_ << " at channel "
            << offset % pitch_ - gap_before_ << " of " << c_;
  }
  return failure << " was overwritten with " << found;
}

template <typename T>
AssertionResult Operand<T>::written() const {
  if (AssertionResult result = intact(); !result) return result;
  const std::vector<T> packed = values();
  std::int64_t tags = 0, first = -1;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    if (!is_tag(packed[i])) continue;
    if (tags++ == 0) first = static_cast<std::int64_t>(i);
  }
  if (tags == 0) return AssertionSuccess();
  return AssertionFailure() << tags << " of " << packed.size()
                            << " elements not written or computed from poison, first "
                            << index_name(first);
}

template <typename T>
std::string Operand<T>::index_name(std::int64_t i) const {
  const std::int64_t row = i / c_;
  return message("[", row / (h_ * w_), ",", row / w_ % h_, ",", row % w_, ",", i % c_, "]");
}

template <typename T>
AssertionResult compare(const std::string& what, const Operand<T>& actual,
                        std::span<const double> reference, Tolerance tolerance) {
  if (AssertionResult result = actual.written(); !result) {
    return AssertionFailure() << what << ": " << result.message();
  }
  const std::vector<T> packed = actual.values();
  if (packed.size() != reference.size()) {
    return AssertionFailure() << what << ": " << packed.size() << " elements, the reference has "
                              << reference.size();
  }
  std::int64_t wrong = 0, worst = -1;
  double worst_excess = -1.0;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const auto value = static_cast<double>(packed[i]);
    const double expected = reference[i];
    if (std::isnan(value) && std::isnan(expected)) continue;
    if (value == expected) continue;  // also equal infinities
    const double allowed = tolerance.atol + tolerance.rtol * std::abs(expected);
    const double difference = std::abs(value - expected);
    if (difference <= allowed && std::isfinite(difference)) continue;
    ++wrong;
    double excess = allowed > 0 ? difference / allowed : difference;
    if (!std::isfinite(excess)) excess = std::numeric_limits<double>::infinity();
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = static_cast<std::int64_t>(i);
    }
  }
  if (wrong == 0) return AssertionSuccess();
  const auto at = static_cast<std::size_t>(worst);
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);
  text << what << ": " << wrong << " of " << packed.size() << " elements off, worst "
       << actual.index_name(worst) << " is " << packed[at] << ", expected " << reference[at]
       << ", allowed " << tolerance.atol + tolerance.rtol * std::abs(reference[at]) << " (seed "
       << actual.seed() << ")";
  return AssertionFailure() << text.str();
}

void Outputs::add(const std::string& name, const void* data, std::size_t bytes,
                  std::size_t element_bytes) {
  Item item{name, std::vector<std::byte>(bytes), element_bytes};
  if (bytes > 0) std::memcpy(item.bytes.data(), data, bytes);
  items_.push_back(std::move(item));
}

AssertionResult Outputs::identical(const Outputs& other) const {
  if (items_.size() != other.items_.size()) {
    return AssertionFailure() << items_.size() << " outputs, then " << other.items_.size();
  }
  for (std::size_t k = 0; k < items_.size(); ++k) {
    const Item& a = items_[k];
    const Item& b = other.items_[k];
    if (a.bytes.size() != b.bytes.size()) {
      return AssertionFailure() << a.name << " has " << a.bytes.size() << " bytes, then "
                                << b.bytes.size();
    }
    for (std::size_t i = 0; i < a.bytes.size(); ++i) {
      if (a.bytes[i] == b.bytes[i]) continue;
      return AssertionFailure() << a.name << " differs in its bits at packed element "
                                << i / a.element_bytes;
    }
  }
  return AssertionSuccess();
}

ExecutionContext any_context(int threads) { return backend::context(threads); }
std::vector<ExecutionContext> every_context() { return backend::contexts(); }
bool bf16_has_bodies() { return any_context().device == DeviceType::cuda; }

AssertionResult on_every_backend(const Run& run) {
  AssertionResult verdict = AssertionSuccess();
  Outputs first;
  std::string family, first_name;
  backend::for_each_variant([&](backend::Variant& variant) {
    Outputs outputs;
    AssertionResult result = AssertionSuccess();
    try {
      result = run(variant.context, outputs);
    } catch (const ShapeError& error) {
      if (std::string(error.what()).find("no CUDA body for") == std::string::npos) throw;
      [&] { GTEST_SKIP() << error.what(); }();
      return false;
    }
    if (!result) {
      verdict = AssertionFailure() << variant.name << ": " << result.message();
      return false;
    }
    if (variant.family != family) {
      family = variant.family;
      first_name = variant.name;
      first = std::move(outputs);
    } else if (result = first.identical(outputs); !result) {
      verdict = AssertionFailure()
                << variant.name << ": not the bits of " << first_name << ": " << result.message();
      return false;
    }
    return true;
  });
  return verdict;
}

std::string suite_of(std::string_view op) {
  std::string suite;
  bool start = true;
  for (const char letter : op) {
    if (letter == '_') {
      start = true;
      continue;
    }
    suite += start ? static_cast<char>(std::toupper(static_cast<unsigned char>(letter))) : letter;
    start = false;
  }
  return suite;
}

void OpTest::SetUp() {
  const std::string suite =
      testing::UnitTest::GetInstance()->current_test_info()->test_suite_name();
  for (const std::string_view op : op_names()) {
    if (suite.rfind(suite_of(op), 0) != 0) continue;
    const std::string reason = backend::why_not(op);
    if (reason.empty()) return;
    if (backend::must_run()) FAIL() << op << ": " << reason << ", and MSD_REQUIRE_GPU=1";
    GTEST_SKIP() << op << ": " << reason;
  }
  FAIL() << suite << " is not named after an op";
}

std::vector<double> central_differences(const std::function<double(const std::vector<double>&)>& f,
                                        std::vector<double> x, double step) {
  std::vector<double> gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double middle = x[i];
    x[i] = middle + step;
    const double above = f(x);
    x[i] = middle - step;
    const double below = f(x);
    x[i] = middle;
    gradient[i] = (above - below) / (2.0 * step);
  }
  return gradient;
}

#define MSD_TEST_INSTANTIATE(T)                                                                    \
  template T tag_of<T>(std::uint64_t);                                                             \
  template bool is_tag<T>(T);                                                                      \
  template class Operand<T>;                                                                       \
  template AssertionResult compare(const std::string&, const Operand<T>&, std::span<const double>, \
                                   Tolerance);
MSD_TEST_INSTANTIATE(float)
MSD_TEST_INSTANTIATE(double)
MSD_TEST_INSTANTIATE(std::int32_t)
MSD_TEST_INSTANTIATE(std::int64_t)
MSD_TEST_INSTANTIATE(std::uint8_t)
#undef MSD_TEST_INSTANTIATE

}  // namespace msd::test
