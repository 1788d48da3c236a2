// SPDX-License-Identifier: MIT
#include "engine/files/zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "kernels/check.h"

namespace msd {
namespace {

// Deflate makes at most 1032 bytes of one; nothing honest claims more.
constexpr std::uint64_t kMostExpansion = 1032;
constexpr std::int64_t kFirstBytes = 64 << 10;

struct ZipError {
  ZipError() { zip_error_init(&error); }
  ~ZipError() { zip_error_fini(&error); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  std::string text() { return zip_error_strerror(&error); }

  zip_error_t error;
};

struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

// A function, as a type of this namespace could be no member of ZipArchive::Handle.
using OpenArchive = std::unique_ptr<zip_t, decltype(&zip_discard)>;

// libzip takes some 400 bytes of memory for an entry of 46 bytes, before anybody can ask how many
// there are: so many at most. torch.save makes an entry for at least 200 bytes.
std::size_t most_entries(std::size_t file_bytes) { return 8192 + file_bytes / 1024; }

bool has_too_many_entries(std::span<const std::byte> file) {
  constexpr std::string_view kEntry("PK\x01\x02", 4);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  std::size_t left = most_entries(file.size());
  for (std::size_t at = text.find(kEntry); at != text.npos; at = text.find(kEntry, at + 1)) {
    if (left-- == 0) return true;
  }
  return false;
}

OpenArchive open(zip_source_t* source, int flags, ZipError& error) {
  if (source == nullptr) return {nullptr, zip_discard};
  zip_t* archive = zip_open_from_source(source, flags, &error.error);
  if (archive == nullptr) zip_source_free(source);
  return {archive, zip_discard};
}

}  // namespace

struct ZipArchive::Handle {
  OpenArchive archive = {nullptr, zip_discard};
};

ZipArchive::ZipArchive(std::span<const std::byte> bytes) : handle_(std::make_unique<Handle>()) {
  if (bytes.empty()) throw FormatError("is empty");  // which libzip takes for an archive
  if (has_too_many_entries(bytes)) {
    throw FormatError(
        message("has more entries than an archive of ", bytes.size(), " bytes needs"));
  }
  ZipError error;
  handle_->archive =
      open(zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error.error),
           ZIP_RDONLY, error);
  if (handle_->archive == nullptr) {
    throw FormatError("is no whole zip archive (" + error.text() + "); is it truncated?");
  }
  const zip_int64_t entries = zip_get_num_entries(handle_->archive.get(), 0);
  std::set<std::string_view> seen;
  std::uint64_t left = bytes.size();
  names_.reserve(static_cast<std::size_t>(std::max<zip_int64_t>(0, entries)));
  for (zip_int64_t i = 0; i < entries; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    const char* name = zip_get_name(handle_->archive.get(), index, ZIP_FL_ENC_GUESS);
    if (name == nullptr) throw FormatError(message("entry ", i, " of the archive has no name"));
    names_.emplace_back(name);
    if (!seen.insert(names_.back()).second) {
      throw FormatError("holds entry " + printable(names_.back()) + " twice");
    }
    zip_stat_t stat;
    zip_stat_init(&stat);
    // Entries that overlap could be read to many times the file's size.
    if (zip_stat_index(handle_->archive.get(), index, 0, &stat) != 0 ||
        (stat.valid & ZIP_STAT_COMP_SIZE) == 0 || stat.comp_size > left) {
      throw FormatError("has entries that are larger than all of it");
    }
    left -= stat.comp_size;
  }
}

ZipArchive::~ZipArchive() = default;

bool ZipArchive::contains(const std::string& name) const {
  return zip_name_locate(handle_->archive.get(), name.c_str(), ZIP_FL_ENC_GUESS) >= 0;
}

std::shared_ptr<Buffer> ZipArchive::read(const std::string& name, std::uint64_t most_bytes) const {
  const auto fail = [&](const auto&... parts) {
    throw FormatError(message("entry ", printable(name), " of the archive ", parts...));
  };
  zip_t* archive = handle_->archive.get();
  zip_stat_t stat;
  zip_stat_init(&stat);
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_CRC;
  if (zip_stat(archive, name.c_str(), ZIP_FL_ENC_GUESS, &stat) != 0 ||
      (stat.valid & kNeeded) != kNeeded) {
    fail("is missing");
  }
  if (stat.size > most_bytes) {
    fail("has ", stat.size, " bytes, where at most ", most_bytes, " belong");
  }
  if (stat.size / kMostExpansion > stat.comp_size) {
    fail("claims ", stat.size, " bytes, more than it can hold");
  }
  // The one checksum that libzip does not compare.
  if (stat.size == 0 && stat.crc != 0) fail("is damaged: it is empty, by its checksum it was not");
  const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(archive, stat.index, 0));
  if (file == nullptr) fail("cannot be read: ", zip_strerror(archive));
  // Stored bytes are in the file; of packed ones only what has come out counts.
  const auto claimed = static_cast<std::int64_t>(stat.size);
  const std::int64_t first =
      stat.comp_size == stat.size
          ? claimed
          : std::min(claimed, kFirstBytes + 2 * static_cast<std::int64_t>(stat.comp_size));
  auto buffer = std::make_shared<Buffer>(host_allocator(), first);
  std::int64_t used = 0;
  for (;;) {
    if (used == buffer->size_bytes() && used < claimed) {
      auto larger = std::make_shared<Buffer>(host_allocator(), std::min(claimed, 2 * used));
      std::memcpy(larger->data(), buffer->data(), static_cast<std::size_t>(used));
      buffer = std::move(larger);
    }
    std::byte beyond;  // a read that must find the end, where libzip compares the checksum
    const bool full = used == claimed;
    const zip_int64_t got =
        zip_fread(file.get(), full ? &beyond : buffer->data() + used,
                  full ? 1 : static_cast<zip_uint64_t>(buffer->size_bytes() - used));
    if (got < 0) fail("is damaged: ", zip_file_strerror(file.get()));
    if (got == 0) break;
    if (full) fail("holds more than the ", claimed, " bytes it claims");
    used += got;
  }
  if (used != claimed) fail("ends after ", used, " of ", claimed, " bytes");
  return buffer;
}

std::vector<std::byte> zip_archive(const std::vector<ZipEntry>& entries) {
  ZipError error;
  const auto check = [&](bool good) {
    if (!good) throw IoError("cannot make a zip archive: " + error.text());
  };
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, /*freep=*/0, &error.error);
  check(target != nullptr);
  zip_source_keep(target);  // read after the archive is closed
  const std::unique_ptr<zip_source_t, decltype(&zip_source_free)> kept(target, &zip_source_free);
  OpenArchive archive = open(target, ZIP_CREATE | ZIP_TRUNCATE, error);
  check(archive != nullptr);
  for (const ZipEntry& entry : entries) {
    zip_source_t* source = zip_source_buffer_create(entry.bytes.data(), entry.bytes.size(),
                                                    /*freep=*/0, &error.error);
    check(source != nullptr);
    const zip_int64_t index =
        zip_file_add(archive.get(), entry.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      throw IoError(message("cannot make a zip archive: ", zip_strerror(archive.get())));
    }
    constexpr zip_uint16_t kFirstDay = 1 << 5 | 1;     // 1980-01-01, so that equal entries give
    const auto at = static_cast<zip_uint64_t>(index);  // equal archives
    zip_set_file_compression(archive.get(), at, ZIP_CM_STORE, 0);
    zip_file_set_dostime(archive.get(), at, 0, kFirstDay, 0);
  }
  if (zip_close(archive.get()) != 0) {
    throw IoError(message("cannot make a zip archive: ", zip_strerror(archive.get())));
  }
  static_cast<void>(archive.release());  // freed by zip_close
  zip_stat_t stat;
  check(zip_source_stat(target, &stat) == 0 && zip_source_open(target) == 0);
  std::vector<std::byte> bytes(stat.size);
  const zip_int64_t got = zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  check(got == static_cast<zip_int64_t>(bytes.size()));
  return bytes;
}

}  // namespace msd
