// SPDX-License-Identifier: MIT
#include "engine/parameters.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace msd {
namespace {

constexpr std::int64_t kAlignElems = 16;  // 64 bytes of f32

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t elems = 1;
  for (const std::int64_t d : shape) elems *= d;
  return elems;
}

// Position in memory of element i of PyTorch's order.
template <typename Visit>
void for_each_position(const std::vector<std::int64_t>& shape, ParameterLayout layout,
                       Visit&& visit) {
  if (layout == ParameterLayout::plain) {
    for (std::int64_t i = 0, n = product(shape); i < n; ++i) visit(i, i);
    return;
  }
  const std::int64_t cout = shape[0], cin = shape[1], taps = shape[2] * shape[3];
  std::int64_t i = 0;
  for (std::int64_t o = 0; o < cout; ++o) {
    for (std::int64_t c = 0; c < cin; ++c) {
      for (std::int64_t t = 0; t < taps; ++t) visit(i++, (o * taps + t) * cin + c);
    }
  }
}

}  // namespace

ParameterSet::Id ParameterSet::add_parameter(std::string name, std::vector<std::int64_t> shape,
                                             ParameterLayout layout) {
  Entry entry;
  entry.name = std::move(name);
  entry.elems = product(shape);
  entry.shape = std::move(shape);
  entry.layout = layout;
  entry.offset = flat_elems_;
  parameter_elems_ += entry.elems;
  flat_elems_ = round_up(flat_elems_ + entry.elems, kAlignElems);
  parameters_.push_back(std::move(entry));
  return static_cast<Id>(parameters_.size()) - 1;
}

ParameterSet::Id ParameterSet::add_statistic(std::string name, std::int64_t channels,
                                             double initial) {
  Entry entry;
  entry.name = std::move(name);
  entry.shape = {channels};
  entry.elems = channels;
  entry.offset = statistic_elems_;
  entry.initial = initial;
  statistic_elems_ = round_up(statistic_elems_ + channels, kAlignElems);
  statistics_info_.push_back(std::move(entry));
  return static_cast<Id>(statistics_info_.size()) - 1;
}

ParameterSet::Id ParameterSet::add_counter(std::string name) {
  counters_.push_back({std::move(name), 0});
  return static_cast<Id>(counters_.size()) - 1;
}

void ParameterSet::allocate(Allocator& allocator, DType dtype) {
  MSD_CHECK(dtype == DType::f32 || dtype == DType::f64, "parameters of dtype ", msd::name(dtype));
  dtype_ = dtype;
  values_ = Tensor::zeros(allocator, {flat_elems_}, dtype);
  gradients_ = Tensor::zeros(allocator, {flat_elems_}, dtype);
  velocities_ = Tensor::zeros(allocator, {flat_elems_}, dtype);
  statistics_ = Tensor::zeros(allocator, {statistic_elems_}, dtype);
  mask_ = Tensor::zeros(allocator, {flat_elems_}, DType::u8);
  has_gradient_.resize(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) set_has_gradient(static_cast<Id>(i), true);
  const Tensor statistics = Tensor::zeros(host_allocator(), {statistic_elems_}, dtype);
  for (const Entry& entry : statistics_info_) {
    for (std::int64_t i = 0; i < entry.elems; ++i) {
      store_element(statistics.data(), dtype_, entry.offset + i, entry.initial);
    }
  }
  statistics_.copy_from(statistics);
}

void* ParameterSet::element(const Tensor& flat, std::int64_t offset) const {
  return static_cast<std::byte*>(flat.data()) + offset * size_bytes(dtype_);
}

std::int64_t ParameterSet::flat_end(Id id) const {
  const Entry& entry = parameters_[at(id)];
  return round_up(entry.offset + entry.elems, kAlignElems);
}

const std::string& ParameterSet::name_of_element(std::int64_t index) const {
  auto after =
      std::upper_bound(parameters_.begin(), parameters_.end(), index,
                       [](std::int64_t value, const Entry& entry) { return value < entry.offset; });
  MSD_CHECK(after != parameters_.begin(), "element ", index, " of an empty parameter set");
  return std::prev(after)->name;
}

void ParameterSet::set_has_gradient(Id id, bool has_gradient) {
  const Entry& entry = parameters_[at(id)];
  has_gradient_[at(id)] = has_gradient;
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(entry.elems), has_gradient);
  mask_.slice(0, entry.offset, entry.elems).write(bytes.data(), entry.elems);
}

bool ParameterSet::has_gradient(Id id) const { return has_gradient_[at(id)]; }

Tensor ParameterSet::host_part(const Tensor& flat, const Entry& entry) {
  const Tensor part = flat.slice(0, entry.offset, entry.elems);
  if (part.on_host()) return part;
  Tensor copy = Tensor::empty(host_allocator(), {entry.elems}, flat.dtype());
  part.read(copy.data(), entry.elems * size_bytes(flat.dtype()));
  return copy;
}

Tensor ParameterSet::to_file_order(const Entry& entry, const Tensor& flat) const {
  Tensor out = Tensor::empty(host_allocator(), entry.shape, dtype_);
  for_each_position(entry.shape, entry.layout, [&](std::int64_t file, std::int64_t memory) {
    store_element(out.data(), dtype_, file,
                  load_element(flat.data(), dtype_, entry.offset + memory));
  });
  return out;
}

template <typename ValueOf>
void ParameterSet::write_entry(const Entry& entry, const Tensor& flat, ValueOf value_of) const {
  const Tensor part = Tensor::empty(host_allocator(), {entry.elems}, dtype_);
  for_each_position(entry.shape, entry.layout, [&](std::int64_t file, std::int64_t memory) {
    store_element(part.data(), dtype_, memory, value_of(file));
  });
  flat.slice(0, entry.offset, entry.elems).copy_from(part);
}

std::vector<NamedTensor> ParameterSet::state() const {
  std::vector<NamedTensor> out;
  const Tensor values = values_.to_host(), statistics = statistics_.to_host();
  for (const Entry& entry : parameters_) out.push_back({entry.name, to_file_order(entry, values)});
  for (const Entry& entry : statistics_info_) {
    out.push_back({entry.name, to_file_order(entry, statistics)});
  }
  for (const Counter& counter : counters_) {
    Tensor value = Tensor::empty(host_allocator(), {}, DType::i64);
    *static_cast<std::int64_t*>(value.data()) = counter.value;
    out.push_back({counter.name, value});
  }
  return out;
}

std::vector<NamedTensor> ParameterSet::velocities_by_name(const std::string& prefix) const {
  std::vector<NamedTensor> out;
  const Tensor on_host = velocities_.to_host();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!has_gradient(static_cast<Id>(i))) continue;
    out.push_back({prefix + parameters_[i].name, to_file_order(parameters_[i], on_host)});
  }
  return out;
}

namespace {

const Tensor& find(const std::map<std::string, Tensor>& tensors, const std::string& name,
                   const std::string& source) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw FormatError(source + ": tensor " + name + " is missing; is it another network's file?");
  }
  return found->second;
}

void check_tensor(const Tensor& tensor, const std::vector<std::int64_t>& shape,
                  const std::string& name, const std::string& source, DType dtype) {
  if (tensor.shape() != shape) {
    throw FormatError(source + ": tensor " + name + " is " + shape_text(tensor.shape()) +
                      " but the network has " + shape_text(shape));
  }
  const DType type = tensor.dtype();
  if (type != DType::f32 && type != DType::f64 && type != DType::f16 && type != DType::bf16) {
    throw FormatError(message(source, ": tensor ", name, " is of type ", msd::name(type),
                              "; it must be f32, f64, f16 or bf16"));
  }
  const double largest = dtype == DType::f64
                             ? std::numeric_limits<double>::max()
                             : static_cast<double>(std::numeric_limits<float>::max());
  for (std::int64_t i = 0, n = tensor.elems(); i < n; ++i) {
    const double value = load_element(tensor.data(), tensor.dtype(), i);
    if (!(std::abs(value) <= largest)) {
      throw FormatError(message(source, ": tensor ", name, " holds ", value, " at element ", i));
    }
  }
}

}  // namespace

void ParameterSet::load_state(const std::map<std::string, Tensor>& tensors,
                              const std::string& source,
                              const std::vector<std::string>& ignored_prefixes) {
  std::size_t used = 0;
  for (const std::vector<Entry>* entries : {&parameters_, &statistics_info_}) {
    for (const Entry& entry : *entries) {
      check_tensor(find(tensors, entry.name, source), entry.shape, entry.name, source, dtype_);
      ++used;
    }
  }
  for (const Counter& counter : counters_) {
    const Tensor& tensor = find(tensors, counter.name, source);
    if (tensor.dtype() != DType::i64 || tensor.elems() != 1) {
      throw FormatError(source + ": tensor " + counter.name + " is not one I64 value");
    }
    ++used;
  }
  if (used < tensors.size()) {
    std::map<std::string, bool> known;
    for (const NamedTensor& own : state()) known[own.name] = true;
    for (const auto& entry : tensors) {
      const std::string& name = entry.first;
      const bool ignored =
          std::any_of(ignored_prefixes.begin(), ignored_prefixes.end(),
                      [&](const std::string& prefix) { return name.starts_with(prefix); });
      if (!ignored && !known.contains(name)) {
        throw FormatError(source + ": tensor " + name + " is not part of this network");
      }
    }
  }
  const auto load = [&](const Entry& entry, const Tensor& flat) {
    const Tensor& tensor = tensors.at(entry.name);
    write_entry(entry, flat,
                [&](std::int64_t i) { return load_element(tensor.data(), tensor.dtype(), i); });
  };
  for (const Entry& entry : parameters_) load(entry, values_);
  for (const Entry& entry : statistics_info_) load(entry, statistics_);
  for (Counter& counter : counters_) {
    counter.value = *static_cast<const std::int64_t*>(tensors.at(counter.name).data());
  }
}

void ParameterSet::load_velocities(const std::map<std::string, Tensor>& tensors,
                                   const std::string& prefix, const std::string& source) {
  for (const Entry& entry : parameters_) {
    const auto found = tensors.find(prefix + entry.name);
    if (found == tensors.end()) {
      write_entry(entry, velocities_, [](std::int64_t) { return 0.0; });
      continue;
    }
    check_tensor(found->second, entry.shape, found->first, source, dtype_);
    const Tensor& velocity = found->second;
    write_entry(entry, velocities_,
                [&](std::int64_t i) { return load_element(velocity.data(), velocity.dtype(), i); });
  }
}

void ParameterSet::set_parameter(Id id, const std::vector<double>& values) {
  const Entry& entry = parameters_[at(id)];
  MSD_CHECK(static_cast<std::int64_t>(values.size()) == entry.elems, entry.name, " has ",
            entry.elems, " elements, not ", values.size());
  write_entry(entry, values_, [&](std::int64_t i) { return values[static_cast<std::size_t>(i)]; });
}

}  // namespace msd
