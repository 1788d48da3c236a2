// SPDX-License-Identifier: MIT
#include "tests/support/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace msd::test {
namespace {

SystemAllocator& host() {
  static SystemAllocator allocator;
  return allocator;
}

double element(const void* data, DType dtype, std::int64_t i) {
  switch (dtype) {
    case DType::f32:
      return static_cast<double>(static_cast<const float*>(data)[i]);
    case DType::f64:
      return static_cast<const double*>(data)[i];
    case DType::i32:
      return static_cast<double>(static_cast<const std::int32_t*>(data)[i]);
    case DType::i64:
      return static_cast<double>(static_cast<const std::int64_t*>(data)[i]);
    case DType::u8:
      return static_cast<double>(static_cast<const std::uint8_t*>(data)[i]);
    case DType::bf16:
    case DType::f16:
      break;
  }
  throw std::invalid_argument("elements of a type the tests do not read");
}

}  // namespace

std::vector<double> doubles(const Tensor& tensor) {
  if (!tensor.is_contiguous()) throw std::invalid_argument("doubles() of a strided tensor");
  std::vector<double> values;
  for (std::int64_t i = 0; i < tensor.elems(); ++i) {
    values.push_back(element(tensor.data(), tensor.dtype(), i));
  }
  return values;
}

std::vector<double> doubles(const ConstView& view) {
  std::vector<double> values;
  for (std::int64_t row = 0; row < view.rows(); ++row) {
    for (std::int64_t c = 0; c < view.c; ++c) {
      values.push_back(element(view.data, view.dtype, row * view.pitch + c));
    }
  }
  return values;
}

std::vector<std::byte> bytes(const ConstView& view) {
  const auto row_bytes = static_cast<std::size_t>(view.c * size_bytes(view.dtype));
  std::vector<std::byte> out(static_cast<std::size_t>(view.rows()) * row_bytes);
  for (std::int64_t row = 0; row < view.rows(); ++row) {
    std::memcpy(out.data() + static_cast<std::size_t>(row) * row_bytes,
                view.as<std::byte>() + row * view.pitch * size_bytes(view.dtype), row_bytes);
  }
  return out;
}

std::vector<std::byte> bytes(const Tensor& tensor) {
  if (!tensor.is_contiguous()) throw std::invalid_argument("bytes() of a strided tensor");
  const auto* data = static_cast<const std::byte*>(tensor.data());
  if (data == nullptr) return {};
  return {data, data + tensor.elems() * size_bytes(tensor.dtype())};
}

Tensor make_tensor(std::vector<std::int64_t> shape, const std::vector<double>& values,
                   DType dtype) {
  Tensor tensor = Tensor::empty(host(), std::move(shape), dtype);
  if (tensor.elems() != static_cast<std::int64_t>(values.size())) {
    throw std::invalid_argument("make_tensor: values do not fill the shape");
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f64) {
      tensor.span<double>()[i] = values[i];
    } else {
      tensor.span<float>()[i] = static_cast<float>(values[i]);
    }
  }
  return tensor;
}

Tensor make_counter(std::int64_t value) {
  Tensor tensor = Tensor::empty(host(), {}, DType::i64);
  tensor.span<std::int64_t>()[0] = value;
  return tensor;
}

std::map<std::string, Tensor> gradients_of(const ParameterSet& set, const std::string& prefix) {
  std::map<std::string, Tensor> out;
  const Tensor flat = set.gradients().to_host();
  for (std::size_t p = 0; p < set.parameter_count(); ++p) {
    const auto id = static_cast<ParameterSet::Id>(p);
    if (!set.has_gradient(id)) continue;
    const auto* first = static_cast<const std::byte*>(set.gradient(id));
    const std::int64_t offset =
        (first - static_cast<const std::byte*>(set.gradients().data())) / size_bytes(set.dtype());
    const std::vector<std::int64_t>& shape = set.parameter_shape(id);
    // [cout][cin][taps] of convolutions lie as [cout][taps][cin].
    const bool conv = shape.size() == 4;
    const std::int64_t cin = conv ? shape[1] : 1, taps = conv ? shape[2] * shape[3] : 1;
    Tensor tensor = Tensor::empty(host(), shape, set.dtype());
    for (std::int64_t i = 0; i < tensor.elems(); ++i) {
      const std::int64_t cout = i / (cin * taps), c = i / taps % cin, tap = i % taps;
      store_element(tensor.data(), set.dtype(), i,
                    load_element(flat.data(), set.dtype(), offset + (cout * taps + tap) * cin + c));
    }
    out.emplace(prefix + set.parameter_name(id), tensor);
  }
  return out;
}

std::map<std::string, Tensor> by_name(const std::vector<NamedTensor>& tensors) {
  std::map<std::string, Tensor> out;
  for (const NamedTensor& named : tensors) {
    if (!out.emplace(named.name, named.tensor).second) {
      throw std::invalid_argument("two tensors are called " + named.name);
    }
  }
  return out;
}

testing::AssertionResult identical(const std::map<std::string, Tensor>& a,
                                   const std::map<std::string, Tensor>& b) {
  for (const auto& [name, tensor] : b) {
    if (!a.contains(name)) return testing::AssertionFailure() << name << " is in the second only";
  }
  for (const auto& [name, tensor] : a) {
    const auto found = b.find(name);
    if (found == b.end()) return testing::AssertionFailure() << name << " is in the first only";
    const Tensor& other = found->second;
    if (tensor.dtype() != other.dtype() || tensor.shape() != other.shape()) {
      return testing::AssertionFailure() << name << " differs in type or shape";
    }
    if (bytes(tensor) != bytes(other)) return testing::AssertionFailure() << name << " differs";
  }
  return testing::AssertionSuccess();
}

void Differences::add(const std::string& name, const std::vector<double>& actual,
                      const std::vector<double>& expected, std::int64_t stride, double floor) {
  ++tensors_;
  const auto step = static_cast<std::size_t>(stride);
  double largest = floor, difference = 0.0;
  if ((actual.size() + step - 1) / step != expected.size()) {
    difference = std::numeric_limits<double>::infinity();
  }
  for (std::size_t i = 0; i < expected.size() && i * step < actual.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double d = std::abs(actual[i * step] - expected[i]);
    if (!(d <= difference)) difference = std::isnan(d) ? INFINITY : d;
  }
  double relative = difference == 0.0 ? 0.0 : difference / largest;
  if (std::isnan(relative)) relative = INFINITY;
  if (worst_name_.empty() || !(relative <= worst_)) {
    worst_ = relative;
    worst_name_ = name;
  }
}

testing::AssertionResult Differences::within(double tolerance) const {
  if (tensors_ == 0) return testing::AssertionFailure() << "nothing was compared";
  if (!(worst_ <= tolerance)) {
    return testing::AssertionFailure() << worst_name_ << " differs by " << worst_
                                       << " of its largest value, more than " << tolerance;
  }
  return testing::AssertionSuccess() << "at most " << worst_ << ", at " << worst_name_;
}

void Differences::record(const std::string& key) const {
  testing::Test::RecordProperty(key, message(worst_, " at ", worst_name_));
}

}  // namespace msd::test
