// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msd {

// Every function throws IoError naming the file and the operating system's reason.

/// The whole file.
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::string read_text_file(const std::filesystem::path& path);

/// A file's bytes in memory, in pages that are read when they are touched where it is a regular
/// file, else as a copy. Writing there changes no file. Files that this header writes are never
/// changed in place; a file that something else cuts short meanwhile ends the process (SIGBUS).
class FileBytes {
 public:
  explicit FileBytes(const std::filesystem::path& path);
  /// Bytes that never were a file.
  explicit FileBytes(std::vector<std::byte> bytes);
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::byte* data() const { return data_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::vector<std::byte> copy_;  // empty where the file is mapped
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes `parts` one after another. Where `path` is free or a regular file, to a temporary name
/// beside it that is synced and renamed over it: readers see the old file or the new one, whole. A
/// link's target is replaced, not the link; owner and mode stay. Devices, pipes and descriptors
/// (/dev/stdout) are written into, see write_target(). Where `previous` is given, the old file
/// takes that name, just before; a process killed in between leaves it there and nothing at `path`.
/// A failure removes the temporary file and leaves the old one at `path`. Where the file system
/// says that it has less free than `parts` take, or the process may write no file so large, nothing
/// is begun.
void write_file_atomically(const std::filesystem::path& path,
                           const std::vector<std::span<const std::byte>>& parts,
                           const std::filesystem::path& previous = {});
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Makes `path` another name of `from`, a file that write_file_atomically() wrote, in the way and
/// with the guarantees of that function; `previous` as there. Costs no space, but where the file
/// system has no hard links the content is copied. Neither name may be written to in place.
void link_file_atomically(const std::filesystem::path& from, const std::filesystem::path& path,
                          const std::filesystem::path& previous = {});

/// What an unprivileged process can still write on the file system that holds `path`, or will where
/// that does not exist yet. Nothing where the file system does not say.
std::optional<std::int64_t> free_bytes(const std::filesystem::path& path);
/// The most bytes that this process may write to a file (RLIMIT_FSIZE).
std::int64_t most_file_bytes();
/// Throws IoError where write_file_atomically() would, as far as can be told without writing: asked
/// before long work whose result goes there.
void require_writable(const std::filesystem::path& path);
/// Removes the temporary file of a write_file_atomically() under way. For the handler of a signal
/// that then ends the process: async-signal-safe.
void remove_unfinished_file() noexcept;
/// 41234567 -> "41.2 MB".
std::string bytes_text(std::int64_t bytes);

/// Removes what killed processes left of write_file_atomically(folder / anything). Only for a
/// folder that nobody else writes in.
void remove_temporary_files(const std::filesystem::path& folder);

/// Adds `line` and a line feed to the end of the file, which need not exist. A killed process or a
/// full disk may leave a part of the line.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Makes the folder and those above it, where they are missing.
void make_folder(const std::filesystem::path& path);
/// Over an existing `to`, within one file system.
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
/// Removes the file where there is one.
void remove_file(const std::filesystem::path& path);

/// Keeps other processes from taking the same lock until destroyed; the operating system frees it
/// however the process ends. The file stays: removing it would let two processes lock two files.
class FileLock {
 public:
  /// Throws IoError where another holder, in this process or another, has the lock.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace msd
