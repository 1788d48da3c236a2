// SPDX-License-Identifier: MIT
#include "data/image_listing.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "kernels/check.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEndingsTold = 5;
// Folders that link to one another crosswise have more paths than anybody can wait for.
constexpr int kMostCircles = 100;

/// ".txt" of "notes.TXT"; "" where there is none.
std::string ending_of(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& letter : ending) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return ending;
}

bool is_image_ending(std::string_view ending) {
  return !ending.empty() && std::find(kImageEndings.begin(), kImageEndings.end(),
                                      ending.substr(1)) != kImageEndings.end();
}

/// A folder as the file system knows it, by whatever path.
struct FolderIdentity {
  dev_t device;
  ino_t number;

  bool operator==(const FolderIdentity& other) const = default;
};

class ImageWalk {
 public:
  /// Finds what lies in `folder` and below. Returns why it cannot be listed, or "".
  std::string visit(const std::string& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return std::strerror(errno);
    const FolderIdentity identity{status.st_dev, status.st_ino};
    if (std::find(above_.begin(), above_.end(), identity) != above_.end()) {
      if (++circles_ > kMostCircles) {
        throw FormatError(message("more than ", kMostCircles,
                                  " links lead to folders they lie in, ", folder,
                                  " among them; remove them"));
      }
      return "it leads back to a folder it lies in; remove the link";
    }
    above_.push_back(identity);
    Group group{folder, {}};
    std::error_code error;
    for (const std::string& inner : list(group, error)) {
      const std::string fault = visit(inner);
      if (!fault.empty()) group.images.push_back({inner, "cannot list this folder: " + fault});
    }
    above_.pop_back();
    if (error) return error.message();
    groups_.push_back(std::move(group));
    return "";
  }

  ImageListing take() {
    // char_traits<char> compares unsigned bytes.
    std::sort(groups_.begin(), groups_.end(),
              [](const Group& a, const Group& b) { return a.folder < b.folder; });
    ImageListing listing;
    listing.left_out = std::move(left_out_);
    for (Group& group : groups_) {
      std::sort(group.images.begin(), group.images.end(),
                [](const ListedImage& a, const ListedImage& b) { return a.path < b.path; });
      std::move(group.images.begin(), group.images.end(), std::back_inserter(listing.images));
    }
    return listing;
  }

 private:
  struct Group {
    std::string folder;
    std::vector<ListedImage> images;
  };

  /// Adds the image files of group.folder to the group; returns the folders in it.
  std::vector<std::string> list(Group& group, std::error_code& error) {
    std::vector<std::string> folders;
    for (fs::directory_iterator at(group.folder, error), end; !error && at != end;
         at.increment(error)) {
      const fs::path& path = at->path();
      if (path.filename().string().starts_with('.')) {
        ++left_out_.hidden;
        continue;
      }
      std::error_code ignored;
      switch (at->status(ignored).type()) {  // of what a link points to
        case fs::file_type::directory:
          folders.push_back(path.string());
          break;
        case fs::file_type::regular:
          if (const std::string ending = ending_of(path); !is_image_ending(ending)) {
            ++left_out_.by_ending[ending];
            break;
          }
          [[fallthrough]];
        case fs::file_type::none:  // leads nowhere
        case fs::file_type::not_found:
        case fs::file_type::symlink:
        case fs::file_type::unknown:
          group.images.push_back({path.string(), ""});
          break;
        case fs::file_type::block:
        case fs::file_type::character:
        case fs::file_type::fifo:
        case fs::file_type::socket:
          ++left_out_.special;
          break;
      }
    }
    return folders;
  }

  std::vector<FolderIdentity> above_;
  std::vector<Group> groups_;
  LeftOut left_out_;
  int circles_ = 0;
};

std::string count_text(std::int64_t count, const char* one, const char* many) {
  return message(count, " ", count == 1 ? one : many);
}

/// " (.json, .txt, ...)" of files that have an ending.
std::string endings_told(const std::map<std::string, std::int64_t>& by_ending) {
  std::string text;
  std::size_t told = 0;
  for (const auto& [ending, count] : by_ending) {
    if (ending.empty()) continue;
    text += text.empty() ? " (" : ", ";
    if (++told > kMostEndingsTold) {
      text += "...";
      break;
    }
    text += ending;
  }
  return text.empty() ? text : text + ")";
}

}  // namespace

std::string image_endings_text() {
  std::string text;
  for (std::size_t i = 0; i < kImageEndings.size(); ++i) {
    if (i > 0) text += i + 1 == kImageEndings.size() ? " or " : ", ";
    text += kImageEndings[i];
  }
  return text;
}

void ListedImage::require_usable() const {
  if (!fault.empty()) throw IoError(path + ": " + fault);
}

void LeftOut::add(const LeftOut& other) {
  for (const auto& [ending, count] : other.by_ending) by_ending[ending] += count;
  hidden += other.hidden;
  special += other.special;
  beside_classes += other.beside_classes;
}

std::string LeftOut::text() const {
  std::int64_t files = 0;
  for (const auto& [ending, count] : by_ending) files += count;
  std::string text;
  const auto add_part = [&](std::int64_t count, const std::string& part) {
    if (count > 0) text += (text.empty() ? "" : ", ") + part;
  };
  add_part(files, count_text(files, "file that is no image by its name",
                             "files that are no images by their names") +
                      endings_told(by_ending));
  add_part(hidden, count_text(hidden, "hidden", "hidden"));
  add_part(special, count_text(special, "pipe, socket or device", "pipes, sockets or devices"));
  add_part(beside_classes, count_text(beside_classes, "file beside the class folders",
                                      "files beside the class folders"));
  return text;
}

ImageListing list_image_files(const std::string& folder) {
  ImageWalk walk;
  const std::string fault = walk.visit(folder);
  if (!fault.empty()) throw IoError(message("cannot list ", folder, ": ", fault));
  return walk.take();
}

}  // namespace msd
