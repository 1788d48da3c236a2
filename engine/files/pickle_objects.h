// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "engine/files/pickle.h"

namespace msd {

/// What Python's and NumPy's objects become when a pickle is read without Python:
///
/// - dictionaries, lists and bytes of the standard library are Dict, List and Bytes, NumPy's
///   scalars and arrays numbers and tensors where a type here holds them;
/// - an instance of any other class is an Object, as making it without its constructor and giving
///   it attributes runs nothing;
/// - a call (Python's REDUCE) is an Object where it is in this file's list of classes and functions
///   that do nothing but make a value. Any other call may have effects and throws FormatError;
/// - modules that run programs or reach the machine may not even be named.
class PythonHost : public PickleHost {
 public:
  bool allows(const std::string& name) const override;
  PickleValue* call(const PickleValue& global, const PickleValue& arguments,
                    PickleArena& arena) override;
  PickleValue* instance(const PickleValue& type, const PickleValue& arguments,
                        PickleArena& arena) override;
  void build(PickleValue& value, const PickleValue& state, PickleArena& arena) override;

 protected:
  /// Throws the FormatError of a call that is not known.
  [[noreturn]] static void refuse_call(const std::string& name);
};

/// An Object of a type that has no class here, such as "tensor of int8".
PickleValue* opaque_object(std::string type, const PickleValue* arguments, PickleArena& arena);
/// Whether it is one of these that stands for a tensor.
bool is_opaque_tensor(const PickleValue& value);

}  // namespace msd
