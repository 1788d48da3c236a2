// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/torch7_file.h"
#include "kernels/check.h"

namespace msd {

/// A module of a network that Torch7 saved, and where it is in the tree: "3.1.2" is the second
/// module of the first module of the third. Borrows the file's values.
class Torch7Module {
 public:
  /// Throws FormatError where the value is no object.
  explicit Torch7Module(const Torch7Value& value, std::string path = "");

  /// Whether the class is this one, of Torch7's nn or one of its twins (cudnn, cunn, fbnn).
  bool is(std::string_view class_name) const;
  /// Throws FormatError where the class is another one.
  void require(std::string_view class_name) const;
  /// The modules of a container. Throws FormatError where there are none, or not `count` (0: any).
  std::vector<Torch7Module> modules(std::size_t count = 0) const;
  /// nullptr where there is none or it is nil.
  const Torch7Value* field(std::string_view name) const { return value_->find(name); }
  /// A field that is a number; `without` where there is none.
  double number(std::string_view name, double without) const;
  /// Throws FormatError where the number is not the expected one.
  void require_number(std::string_view name, double expected, double without) const;
  /// The same for a convolution's or pooling's window. What is not stated is as Torch7 takes it.
  void require_window(std::int64_t kernel, std::int64_t stride, std::int64_t padding) const;

  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw FormatError(message(describe(), " ", parts...));
  }

 private:
  std::string describe() const;

  const Torch7Value* value_;
  std::string path_;
};

}  // namespace msd
