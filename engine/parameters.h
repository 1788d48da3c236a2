// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace msd {

/// How a parameter lies in the flat buffer; files always hold PyTorch's order.
enum class ParameterLayout : std::uint8_t {
  plain,  // as named
  conv,   // [cout][cin][kh][kw] in files, [cout][kh][kw][cin] in memory
};

/// A network's trainable parameters, their gradients and velocities, each in one flat buffer of the
/// device in the order they were added, and its batch-norm statistics in another. Parameters start
/// at multiples of 64 bytes; what lies between them has mask 0 and stays zero.
class ParameterSet {
 public:
  using Id = std::int32_t;

  // Declaring, before allocate(). `shape` is PyTorch's.
  Id add_parameter(std::string name, std::vector<std::int64_t> shape, ParameterLayout layout);
  Id add_statistic(std::string name, std::int64_t channels, double initial);
  Id add_counter(std::string name);

  /// Makes the buffers, zeroed (statistics at their initial values). dtype f32 or f64.
  void allocate(Allocator& allocator, DType dtype);

  DType dtype() const { return dtype_; }
  /// Trainable values, without the gaps.
  std::int64_t parameter_elems() const { return parameter_elems_; }
  /// Size of the flat buffers, gaps included.
  std::int64_t flat_elems() const { return flat_elems_; }
  std::size_t parameter_count() const { return parameters_.size(); }
  const std::string& parameter_name(Id id) const { return parameters_[at(id)].name; }
  /// The parameter that owns flat element `index`, for messages.
  const std::string& name_of_element(std::int64_t index) const;

  /// One past the parameter's flat elements and the gap behind them.
  std::int64_t flat_end(Id id) const;

  void* value(Id id) const { return element(values_, parameters_[at(id)].offset); }
  void* gradient(Id id) const { return element(gradients_, parameters_[at(id)].offset); }
  void* statistic(Id id) const { return element(statistics_, statistics_info_[at(id)].offset); }
  /// The same elements on the host, [elems], as they lie in memory: a copy where that is a
  /// device's.
  Tensor host_value(Id id) const { return host_part(values_, parameters_[at(id)]); }
  Tensor host_statistic(Id id) const { return host_part(statistics_, statistics_info_[at(id)]); }
  std::int64_t& counter(Id id) { return counters_[at(id)].value; }

  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  const Tensor& velocities() const { return velocities_; }
  /// [flat_elems] bytes: 1 where the optimiser may step. 0 for gaps and what has no gradient.
  const Tensor& mask() const { return mask_; }
  void set_has_gradient(Id id, bool has_gradient);
  bool has_gradient(Id id) const;

  /// Parameters, statistics and counters by name, on the host, in PyTorch's shapes; f32 or f64 as
  /// dtype says.
  std::vector<NamedTensor> state() const;
  /// The same for the velocities, of the parameters that have a gradient; names prefixed.
  std::vector<NamedTensor> velocities_by_name(const std::string& prefix) const;

  /// Takes every parameter, statistic and counter from `tensors`, of any float type; names outside
  /// the set are ignored when they start with one of `ignored_prefixes`. Throws FormatError naming
  /// the first tensor that is missing, unknown, of another shape or not finite; nothing is changed
  /// then.
  void load_state(const std::map<std::string, Tensor>& tensors, const std::string& source,
                  const std::vector<std::string>& ignored_prefixes = {});
  /// Takes the velocities named prefix + parameter; missing ones become 0.
  void load_velocities(const std::map<std::string, Tensor>& tensors, const std::string& prefix,
                       const std::string& source);

  /// Writes one parameter from values in PyTorch's order.
  void set_parameter(Id id, const std::vector<double>& values);
  const std::vector<std::int64_t>& parameter_shape(Id id) const {
    return parameters_[at(id)].shape;
  }

 private:
  struct Entry {
    std::string name;
    std::vector<std::int64_t> shape;
    ParameterLayout layout = ParameterLayout::plain;
    std::int64_t offset = 0, elems = 0;
    double initial = 0.0;
  };
  struct Counter {
    std::string name;
    std::int64_t value = 0;
  };

  static std::size_t at(Id id) { return static_cast<std::size_t>(id); }
  void* element(const Tensor& flat, std::int64_t offset) const;
  static Tensor host_part(const Tensor& flat, const Entry& entry);
  Tensor to_file_order(const Entry& entry, const Tensor& flat) const;
  /// Sets an entry's elements of `flat`; value_of(i) is the value of element i in PyTorch's order.
  template <typename ValueOf>
  void write_entry(const Entry& entry, const Tensor& flat, ValueOf value_of) const;

  std::vector<Entry> parameters_, statistics_info_;
  std::vector<Counter> counters_;
  std::vector<bool> has_gradient_;  // one a parameter; mask_ says the same of the elements
  std::int64_t parameter_elems_ = 0, flat_elems_ = 0, statistic_elems_ = 0;
  DType dtype_ = DType::f32;
  Tensor values_, gradients_, velocities_, statistics_, mask_;
};

}  // namespace msd
