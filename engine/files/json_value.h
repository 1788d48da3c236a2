// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace msd {

/// A JSON value as a member of a class whose header knows the JSON library by name only: *value and
/// value-> are the JSON. Set as a whole; copies share it. Null unless set.
class JsonValue {
 public:
  JsonValue();
  // NOLINTNEXTLINE(google-explicit-constructor): it is set as JSON is.
  JsonValue(nlohmann::json value);
  // Copied where it could be moved, as a value moved from would have none.
  JsonValue(const JsonValue&) = default;
  JsonValue& operator=(const JsonValue&) = default;
  ~JsonValue() = default;

  const nlohmann::json& operator*() const { return *value_; }
  const nlohmann::json* operator->() const { return value_.get(); }

 private:
  std::shared_ptr<const nlohmann::json> value_;
};

}  // namespace msd
