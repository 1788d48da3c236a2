// SPDX-License-Identifier: MIT
#include "models/weights/torch7_module.h"

#include <algorithm>
#include <utility>

#include "engine/files/byte_reader.h"

namespace msd {
namespace {

constexpr std::string_view kNamespaces[] = {"nn", "cudnn", "cunn", "fbnn"};

}  // namespace

Torch7Module::Torch7Module(const Torch7Value& value, std::string path)
    : value_(&value), path_(std::move(path)) {
  if (value.as<Torch7Value::Object>() == nullptr) fail("is no module");
}

std::string Torch7Module::describe() const {
  const std::string what = path_.empty() ? "the network" : "module " + path_ + " of the network";
  return what + ", " + value_->kind() + ",";
}

bool Torch7Module::is(std::string_view class_name) const {
  const std::string_view own = value_->class_name();
  const std::size_t dot = own.rfind('.');
  return dot != std::string_view::npos && own.substr(dot + 1) == class_name &&
         std::find(std::begin(kNamespaces), std::end(kNamespaces), own.substr(0, dot)) !=
             std::end(kNamespaces);
}

void Torch7Module::require(std::string_view class_name) const {
  if (!is(class_name)) fail("stands where an MSDNet has a ", class_name);
}

std::vector<Torch7Module> Torch7Module::modules(std::size_t count) const {
  std::vector<Torch7Module> modules;
  if (const Torch7Value* table = field("modules")) {
    for (const Torch7Value* child : table->sequence()) {
      modules.emplace_back(*child,
                           (path_.empty() ? "" : path_ + ".") + std::to_string(modules.size() + 1));
    }
  }
  if (modules.empty()) fail("has no modules");
  if (count != 0 && modules.size() != count) {
    fail("has ", modules.size(), " modules, where an MSDNet has ", count);
  }
  return modules;
}

double Torch7Module::number(std::string_view name, double without) const {
  const Torch7Value* value = field(name);
  if (value == nullptr) return without;
  const auto* number = value->as<double>();
  if (number == nullptr) fail("has ", value->kind(), " for ", name, ", not a number");
  return *number;
}

void Torch7Module::require_number(std::string_view name, double expected, double without) const {
  const double stated = number(name, without);
  if (stated != expected) fail("has ", name, " ", stated, ", where an MSDNet has ", expected);
}

void Torch7Module::require_window(std::int64_t kernel, std::int64_t stride,
                                  std::int64_t padding) const {
  const auto size = static_cast<double>(kernel);
  for (const char* name : {"kW", "kH"}) require_number(name, size, size);
  for (const char* name : {"dW", "dH"}) require_number(name, static_cast<double>(stride), 1.0);
  // Older classes have one padding for both sides.
  const double both = number("padding", 0.0);
  for (const char* name : {"padW", "padH"}) {
    require_number(name, static_cast<double>(padding), both);
  }
}

}  // namespace msd
