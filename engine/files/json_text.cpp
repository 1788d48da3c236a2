// SPDX-License-Identifier: MIT
#include "engine/files/json_text.h"

#include <concepts>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/files/json_value.h"
#include "kernels/check.h"

namespace msd {
namespace {

using nlohmann::json;

// The parser's events come here before it keeps what they stand for.
class Watch {
 public:
  Watch(std::size_t file_bytes, int deepest)
      : left_(kFirstBytes + file_bytes), deepest_(deepest), keys_(Index(deepest) + 1) {}

  void operator()(int depth, json::parse_event_t event, const json& parsed) {
    using Event = json::parse_event_t;
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        if (depth >= deepest_) throw FormatError("is nested too deep");
        keys_[Index(depth)].clear();
        return charge(128);
      case Event::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys_[Index(depth) - 1].insert(key).second) {
          throw FormatError("has " + printable(key) + " twice");
        }
        return charge(256 + 2 * key.size());
      }
      case Event::value:
        return charge(48 + (parsed.is_string() ? 64 + parsed.get_ref<const std::string&>().size()
                                               : std::size_t{0}));
      case Event::object_end:
      case Event::array_end:
        return;
    }
  }

 private:
  using Index = std::size_t;
  static constexpr std::size_t kFirstBytes = std::size_t{8} << 20;

  // What the library's tree takes for a value (measured with version 3.11: up to 200 bytes for a
  // key of an object with its number), and what readers then make of it.
  void charge(std::size_t bytes) {
    if (bytes > left_) throw FormatError("has too many values");
    left_ -= bytes;
  }

  std::size_t left_;
  int deepest_;
  std::vector<std::set<std::string>> keys_;  // of the object in hand at each depth
};

template <std::integral T>
void read_whole(const json& found, const char* key, T& value) {
  if (!found.is_number_integer() ||
      !(found.is_number_unsigned() ? std::in_range<T>(found.get<std::uint64_t>())
                                   : std::in_range<T>(found.get<std::int64_t>()))) {
    throw FormatError(message(key, " is ", printable(found.dump()),
                              "; it must be a whole number of ", 8 * sizeof(T), " bits"));
  }
  found.get_to(value);
}

}  // namespace

JsonValue::JsonValue() : JsonValue(json()) {}
JsonValue::JsonValue(json value) : value_(std::make_shared<const json>(std::move(value))) {}

std::string json_problem(const std::exception& error) {
  const std::string text = error.what();
  const auto part = [&](std::string_view after, std::string_view until) {
    const std::size_t from = text.find(after);
    if (from == text.npos) return std::string();
    const std::size_t start = from + after.size();
    return printable(text.substr(start, text.find(until, start) - start));
  };
  const auto* known = dynamic_cast<const json::exception*>(&error);
  switch (known == nullptr ? 0 : known->id) {
    case 101:  // the library's numbers, of the four that a file can bring about
      return "no JSON at " + part("parse error at ", ":");
    case 302:
      return "a value is of type " + part("but is ", "\n") + " and must be of type " +
             part("type must be ", ",");
    case 316:
      return "a text that is not UTF-8";
    case 403:
      return "has no " + part("key '", "' not found");
    default:  // of some fifty numbers
      return "a value is not as it must be (" + part("] ", "\n") + ")";
  }
}

void reading_json(const std::string& place, const std::function<void()>& read) {
  try {
    read();
  } catch (const json::exception& error) {
    throw FormatError(message(place, ": ", json_problem(error)));
  } catch (const FormatError& error) {
    throw FormatError(message(place, ": ", error.what()));
  }
}

std::string printed_json(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(json(text).dump());
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

json parse_json(std::string_view text, std::size_t file_bytes, int deepest) {
  Watch watch(file_bytes, deepest);
  try {
    return json::parse(text, [&](int depth, json::parse_event_t event, const json& parsed) {
      watch(depth, event, parsed);
      return true;
    });
  } catch (const json::exception& error) {
    throw FormatError(message("is no JSON: ", json_problem(error)));
  }
}

void read_member(const json& object, const char* key, bool& value) { object.at(key).get_to(value); }

void read_member(const json& object, const char* key, int& value) {
  read_whole(object.at(key), key, value);
}

void read_member(const json& object, const char* key, std::int64_t& value) {
  read_whole(object.at(key), key, value);
}

void read_member(const json& object, const char* key, std::uint64_t& value) {
  read_whole(object.at(key), key, value);
}

void read_member(const json& object, const char* key, double& value) {
  object.at(key).get_to(value);
}

void read_member(const json& object, const char* key, std::string& value) {
  object.at(key).get_to(value);
}

void read_member(const json& object, const char* key, std::vector<std::int64_t>& values) {
  const json& found = object.at(key);
  if (!found.is_array()) throw FormatError(message(key, " is no list"));
  values.clear();
  for (const json& each : found) read_whole(each, key, values.emplace_back());
}

void read_member(const json& object, const char* key, std::vector<double>& values) {
  object.at(key).get_to(values);
}

}  // namespace msd
