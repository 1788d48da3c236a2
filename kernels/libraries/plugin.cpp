// SPDX-License-Identifier: MIT
#include "kernels/libraries/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "kernels/check.h"

namespace msd::cuda {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "libmsd_cudnn.so";

FoundPlugin open_file(const fs::path& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = dlerror();
    return {nullptr, message(path.string(), " cannot be opened: ", reason ? reason : "?")};
  }
  const auto entry = reinterpret_cast<PluginEntry>(dlsym(library, kPluginEntry));
  if (entry == nullptr) return {nullptr, path.string() + " is no plugin of this program"};
  char error[kPluginErrorBytes] = "";
  const PluginTable* table = entry(kPluginVersion, error);
  if (table == nullptr) return {nullptr, path.string() + ": " + error};
  return {table, ""};
}

}  // namespace

FoundPlugin open_plugin() {
  if (const char* given = std::getenv("MSD_CUDNN_PLUGIN"); given != nullptr && *given != '\0') {
    return open_file(given);
  }
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  const fs::path beside = folder / kFile, in_lib = folder.parent_path() / "lib" / kFile;
  for (const fs::path& path : {beside, in_lib}) {
    if (fs::exists(path, failed)) return open_file(path);
  }
  return {nullptr, message("there is neither ", beside.string(), " nor ", in_lib.string(),
                           "; build with -DMSD_CUDNN=ON or set MSD_CUDNN_PLUGIN")};
}

PluginSession::PluginSession(const PluginTable& table, CUstream_st* stream) : table_(table) {
  char error[kPluginErrorBytes] = "";
  session_ = table.open(stream, error);
  if (session_ == nullptr) throw CudaError(message(table.libraries, ": ", error));
}

bool PluginSession::prepare(const Candidate& candidate, const AlgorithmKey& key,
                            std::string& why_not) {
  const std::int64_t taken = candidate.dense_weight ? dense_weight_bytes(key) : 0;
  if (taken > kWorkspaceBytes) {
    why_not = message("weights of ", taken, " bytes do not fit the workspace");
    return false;
  }
  char error[kPluginErrorBytes] = "";
  const std::int64_t bytes = candidate.prepare(session_, &key, kWorkspaceBytes - taken, error);
  if (bytes < 0) why_not = error;
  return bytes >= 0;
}

void PluginSession::run(const Candidate& candidate, const AlgorithmKey& key,
                        const Operands& operands) {
  char error[kPluginErrorBytes] = "";
  if (candidate.run(session_, &key, &operands, error) != 0) {
    throw CudaError(message(name(key.op), " by ", candidate.algorithm, ": ", error));
  }
}

std::int64_t dense_weight_bytes(const AlgorithmKey& key) {
  const std::int64_t elems = key.cout * key.kernel * key.kernel * key.cin;
  return round_up(elems * size_bytes(key.dtype), 256);
}

}  // namespace msd::cuda
