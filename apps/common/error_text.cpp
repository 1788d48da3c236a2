// SPDX-License-Identifier: MIT
#include "apps/common/error_text.h"

#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "engine/files/json_text.h"
#include "kernels/check.h"

namespace msd {
namespace {

constexpr const char* kReport = "a fault of this program; please report it with the command line: ";

// "cannot start a thread" is not said by std::system_error, only EAGAIN.
std::string system_text(const std::system_error& error) {
  const bool is_limit = error.code() == std::errc::resource_unavailable_try_again;
  return message("the operating system refused: ", error.code().message(),
                 is_limit ? "; there are too many threads or processes, use fewer --threads" : "");
}

}  // namespace

std::string error_text(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error)) {
    const bool is_check = own->has_place() && dynamic_cast<const ShapeError*>(own) != nullptr;
    return is_check ? kReport + own->text() : own->text();
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      dynamic_cast<const std::length_error*>(&error) != nullptr) {
    return "out of memory: what was asked for does not fit; use a smaller batch, network or file";
  }
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    return message("cannot use ", file->path1().string(), ": ", file->code().message());
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    return system_text(*system);
  }
  if (dynamic_cast<const nlohmann::json::exception*>(&error) != nullptr) {
    return message("a file that was read, or a name that was given, is not as JSON needs it: ",
                   json_problem(error));
  }
  return kReport + std::string("an unexpected error");
}

}  // namespace msd
