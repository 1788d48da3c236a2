// SPDX-License-Identifier: MIT
#include "engine/files/file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace msd {
namespace {

FileSystem& operating_system() {
  static FileSystem system;
  return system;
}

FileSystem*& in_use() {
  static FileSystem* system = &operating_system();
  return system;
}

}  // namespace

int FileSystem::open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags | O_CLOEXEC, mode);
}
ssize_t FileSystem::read(int fd, void* data, std::size_t bytes) { return ::read(fd, data, bytes); }
ssize_t FileSystem::write(int fd, const void* data, std::size_t bytes) {
  return ::write(fd, data, bytes);
}
void* FileSystem::map(int fd, std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}
int FileSystem::fsync(int fd) { return ::fsync(fd); }
int FileSystem::close(int fd) { return ::close(fd); }
int FileSystem::lock(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB); }
int FileSystem::rename(const char* from, const char* to) { return ::rename(from, to); }
int FileSystem::link(const char* from, const char* to) { return ::link(from, to); }
int FileSystem::unlink(const char* path) { return ::unlink(path); }
int FileSystem::mkdir(const char* path, mode_t mode) { return ::mkdir(path, mode); }
int FileSystem::statvfs(const char* path, struct ::statvfs* result) {
  return ::statvfs(path, result);
}

FileSystem& file_system() { return *in_use(); }

FileSystemOverride::FileSystemOverride(FileSystem& other)
    : before_(std::exchange(in_use(), &other)) {}
FileSystemOverride::~FileSystemOverride() { in_use() = before_; }

}  // namespace msd
