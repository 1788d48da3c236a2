// SPDX-License-Identifier: MIT
// The emulated twins of the primitives in kernels/cuda/device/device_code.cuh, which includes this
// file and documents them. Here only what the sanitizers shall see as done by the kernel's threads:
// reading operands, writing results, landing copies.
#pragma once

#include <cstring>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>

#include "kernels/cuda/device/check.h"
#include "tests/emulation/launch.h"
#include "tests/emulation/planting.h"
#include "tests/emulation/scheduler.h"
#include "tests/emulation/shared_memory.h"
#include "tests/emulation/warp_ops.h"

#define MSD_CALLER , ::msd::emulation::Site caller = ::msd::emulation::Site::current()
#define MSD_ONLY_CALLER ::msd::emulation::Site caller = ::msd::emulation::Site::current()
#define MSD_PASS_CALLER , caller
#define MSD_UNROLL
#define MSD_SHARED(type, name, ...)                                                     \
  static constexpr ::msd::emulation::SharedSite name##_site{#name, __FILE__, __LINE__}; \
  auto& name = *static_cast<std::add_pointer_t<type __VA_OPT__([__VA_ARGS__])>>(        \
      ::msd::emulation::shared_variable(name##_site, sizeof(type __VA_OPT__([__VA_ARGS__]))))

namespace msd::cuda {

/// A kernel and its arguments, kept until the stream comes to it.
template <typename... Parameters>
struct KernelCall {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;

  static void run_thread(const void* self) {
    const auto& call = *static_cast<const KernelCall*>(self);
    try {
      std::apply(call.kernel, call.arguments);
    } catch (const std::exception& error) {
      emulation::fail("%s", error.what());
    }
  }
};

template <typename... Parameters, typename... Arguments>
void launch(LaunchStream at, dim3 grid, dim3 block, std::size_t dynamic_shared_bytes,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((sizeof(Parameters) + ... + 0) <= kMaxKernelArgumentBytes);
  static_assert((std::is_trivially_copyable_v<Parameters> && ...));
  using Call = KernelCall<Parameters...>;
  const emulation::Launch launched{
      grid,
      block,
      dynamic_shared_bytes,
      reinterpret_cast<const void*>(kernel),
      &Call::run_thread,
      std::make_shared<const Call>(
          Call{kernel, std::tuple<Parameters...>(static_cast<Parameters>(arguments)...)}),
      {at.file, at.line}};
  check(emulation::enqueue(at.stream, launched), "launch", at.file, at.line);
}

template <typename... Parameters>
void allow_dynamic_shared(void (*kernel)(Parameters...), std::size_t bytes) {
  MSD_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(bytes)));
}

class SharedPieces {
 public:
  template <typename T>
  T* take(std::size_t count) {
    void* piece = emulation::shared_piece(taken_++, used_bytes_, count * sizeof(T));
    used_bytes_ += shared_pieces_bytes<T>(count);
    return static_cast<T*>(piece);
  }

 private:
  unsigned taken_ = 0;
  std::size_t used_bytes_ = 0;
};

inline void block_sync(MSD_ONLY_CALLER) {
  if (emulation::planted(emulation::Fault::no_barrier, caller)) return;
  if (emulation::planted(emulation::Fault::divergent_barrier, caller) && threadIdx.x == 0) return;
  emulation::block_barrier(caller);
}
inline void warp_sync(MSD_ONLY_CALLER) {
  emulation::warp_collective("warp_sync", caller, nullptr, nullptr, nullptr, true);
}

template <typename T>
T shuffle_from(const char* operation, T value, int source, emulation::Site caller) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  std::uint32_t words[sizeof(T) / 4], result[sizeof(T) / 4] = {};
  std::memcpy(words, &value, sizeof(T));
  if (emulation::planted(emulation::Fault::wrong_lane, caller)) source ^= 1;
  const emulation::ShuffleIn in{words, static_cast<int>(sizeof(T) / 4), source};
  emulation::warp_collective(operation, caller, emulation::shuffle_lanes, &in, result);
  std::memcpy(&value, result, sizeof(T));
  return value;
}
template <typename T>
T shuffle(T value, int source_lane MSD_CALLER) {
  return shuffle_from("shuffle", value, source_lane & 31, caller);
}
template <typename T>
T shuffle_xor(T value, int lane_mask MSD_CALLER) {
  return shuffle_from("shuffle_xor", value, emulation::lane_of_thread() ^ lane_mask, caller);
}
template <typename T>
T shuffle_down(T value, int delta MSD_CALLER) {
  return shuffle_from("shuffle_down", value, emulation::lane_of_thread() + delta, caller);
}
inline unsigned ballot(bool predicate MSD_CALLER) {
  unsigned result = 0;
  emulation::warp_collective("ballot", caller, emulation::ballot_lanes, &predicate, &result);
  return result;
}

/// Until the copy lands, its target holds poison.
template <int kBytes>
void copy_async_part(void* shared, const void* global, int source_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  struct alignas(kBytes) Unit {
    unsigned char bytes[kBytes];
  };
  emulation::AsyncCopy copy{shared, kBytes, {}};
  Unit unit = {};
  if (source_bytes == kBytes) {
    unit = *static_cast<const Unit*>(global);
  } else if (source_bytes > 0) {
    std::memcpy(unit.bytes, global, static_cast<std::size_t>(source_bytes));
  }
  std::memcpy(copy.data, unit.bytes, kBytes);
  std::memset(unit.bytes, emulation::poison_byte(), kBytes);
  *static_cast<Unit*>(shared) = unit;
  emulation::post_async_copy(copy);
}
inline void copy_commit() { emulation::end_async_group(); }
template <int kPending>
void copy_wait(MSD_ONLY_CALLER) {
  if (emulation::planted(emulation::Fault::no_copy_wait, caller)) return;
  emulation::AsyncCopy copy;
  while (emulation::take_async_copy(kPending, copy)) std::memcpy(copy.to, copy.data, copy.bytes);
}

inline void load_matrix_x4(std::uint32_t (&fragment)[4], const void* row MSD_CALLER) {
  struct alignas(16) Row : emulation::MatrixRow {};
  const Row elements = *static_cast<const Row*>(row);
  emulation::warp_collective("load_matrix_x4", caller, emulation::distribute_matrices,
                             static_cast<const emulation::MatrixRow*>(&elements), fragment);
}
inline void load_matrix_x4_transposed(std::uint32_t (&fragment)[4], const void* row MSD_CALLER) {
  struct alignas(16) Row : emulation::MatrixRow {};
  const Row elements = *static_cast<const Row*>(row);
  emulation::warp_collective("load_matrix_x4_transposed", caller,
                             emulation::distribute_transposed_matrices,
                             static_cast<const emulation::MatrixRow*>(&elements), fragment);
}

inline void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2] MSD_CALLER) {
  const emulation::MmaIn in{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  emulation::warp_collective("mma_m16n8k16", caller, emulation::mma_16x8x16_bf16, &in, d);
}
inline void mma_m16n8k8(float (&d)[4], const std::uint32_t (&a)[4],
                        const std::uint32_t (&b)[2] MSD_CALLER) {
  const emulation::MmaIn in{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  emulation::warp_collective("mma_m16n8k8", caller, emulation::mma_16x8x8_tf32, &in, d);
}

inline std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7F800000u) == 0x7F800000u) return bits;  // infinity and NaN stay
  return (bits + 0x1000u) & 0xFFFFE000u;
}

}  // namespace msd::cuda
