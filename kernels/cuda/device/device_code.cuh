// SPDX-License-Identifier: MIT
// What CUDA kernels are written against: the one file with PTX, raw __shared__ and __CUDACC__. The
// same .cu files compile with nvcc, and as plain C++ against the emulated device of
// tests/emulation, whose emulated_device_code.h holds the twins of everything between #ifdef and
// #else here.
//
//   template <typename T>
//   __global__ void __launch_bounds__(256) example_kernel(const T* x, T* y, int count) {
//     MSD_SHARED(T, tile, 256);              // __shared__ T tile[256]; count may be left out
//     SharedPieces pieces;                   // dynamic shared memory, in pieces, each 128-aligned
//     float* sums = pieces.take<float>(32);  // every thread takes the same pieces in one order
//     copy_async<16>(tile + 4 * threadIdx.x, x + i, i < count);  // zero-filled where false
//     copy_commit();
//     copy_wait<0>();                        // my own copies have landed; others': after
//     block_sync block_sync(); const T sum = warp_sum(value);
//   }
//   launch(stream, grid, 256, shared_pieces_bytes<float>(32), example_kernel<float>, x, y, count);
//
// Warp collectives are called by all 32 lanes. A block's size is a multiple of 32. launch() throws
// CudaError; what fails while a kernel runs is reported by the next synchronising call.
// Only .cu files include this header.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device/check.h"

#define MSD_DEVICE __device__ __forceinline__

namespace msd::cuda {

using bfloat16 = __nv_bfloat16;

inline constexpr int kWarpSize = 32;
inline constexpr int kMaxBlockThreads = 1024;
inline constexpr std::size_t kMaxKernelArgumentBytes = 4096;  // before CUDA 12.1 and Volta

/// A stream and the line of the launch, for messages.
struct LaunchStream {
  LaunchStream(cudaStream_t s, const char* f = __builtin_FILE(),
               int l = __builtin_LINE())  // NOLINT
      : stream(s), file(f), line(l) {}
  cudaStream_t stream;
  const char* file;
  int line;
};

/// Bytes that SharedPieces::take<T>(count) uses; a launch passes the sum over its pieces.
template <typename T>
__host__ __device__ constexpr std::size_t shared_pieces_bytes(std::size_t count) {
  return (count * sizeof(T) + 127) / 128 * 128;
}

/// V elements moved by one instruction; the address must be a multiple of alignof.
template <typename T, int V>
struct alignas(sizeof(T) * V) Vector {
  static_assert(sizeof(T) * V <= 16);
  T values[V];
  MSD_DEVICE T& operator[](int i) { return values[i]; }
  MSD_DEVICE const T& operator[](int i) const { return values[i]; }
};

template <int V, typename T>
MSD_DEVICE Vector<T, V> load_vector(const T* from) {
  return *reinterpret_cast<const Vector<T, V>*>(from);
}
template <int V, typename T>
MSD_DEVICE void store_vector(T* to, const Vector<T, V>& value) {
  *reinterpret_cast<Vector<T, V>*>(to) = value;
}

MSD_DEVICE float to_float(bfloat16 value) { return __bfloat162float(value); }
/// To nearest, ties to even.
MSD_DEVICE bfloat16 to_bfloat16(float value) { return __float2bfloat16_rn(value); }

}  // namespace msd::cuda

#ifdef __CUDACC__

#define MSD_CALLER
#define MSD_PASS_CALLER
#define MSD_UNROLL _Pragma("unroll")
#define MSD_SHARED(type, name, ...) __shared__ type name __VA_OPT__([__VA_ARGS__])

namespace msd::cuda {

template <typename... Parameters, typename... Arguments>
void launch(LaunchStream at, dim3 grid, dim3 block, std::size_t dynamic_shared_bytes,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((sizeof(Parameters) + ... + 0) <= kMaxKernelArgumentBytes);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_shared_bytes;
  config.stream = at.stream;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "launch", at.file, at.line);
}

/// Lets a kernel have more than 48 KB of dynamic shared memory; call before its launch.
template <typename... Parameters>
void allow_dynamic_shared(void (*kernel)(Parameters...), std::size_t bytes) {
  MSD_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(bytes)));
}

/// The block's dynamic shared memory, from its start on.
class SharedPieces {
 public:
  template <typename T>
  MSD_DEVICE T* take(std::size_t count) {
    extern __shared__ __align__(128) unsigned char msd_dynamic_shared[];
    T* piece = reinterpret_cast<T*>(msd_dynamic_shared + used_bytes_);
    used_bytes_ += shared_pieces_bytes<T>(count);
    return piece;
  }

 private:
  std::size_t used_bytes_ = 0;
};

/// Barrier of all threads of the block, none of which may have left the kernel.
MSD_DEVICE void block_sync() { __syncthreads(); }
/// Barrier of the warp; what lanes wrote before is seen by all lanes after.
MSD_DEVICE void warp_sync() { __syncwarp(); }

// T: 4 or 8 bytes.
template <typename T>
MSD_DEVICE T shuffle(T value, int source_lane) {
  return __shfl_sync(0xFFFFFFFFu, value, source_lane);
}
template <typename T>
MSD_DEVICE T shuffle_xor(T value, int lane_mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, lane_mask);
}
/// The value of lane + delta; the last delta lanes get their own.
template <typename T>
MSD_DEVICE T shuffle_down(T value, int delta) {
  return __shfl_down_sync(0xFFFFFFFFu, value, static_cast<unsigned>(delta));
}
/// Bit l is lane l's predicate.
MSD_DEVICE unsigned ballot(bool predicate) { return __ballot_sync(0xFFFFFFFFu, predicate); }

MSD_DEVICE unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

/// Starts a copy of kBytes (4, 8 or 16, both addresses aligned to it) from global to shared memory:
/// the first source_bytes (0 to kBytes) from `global`, which is not read beyond them, then zeros.
/// The data are there after copy_wait.
template <int kBytes>
MSD_DEVICE void copy_async_part(void* shared, const void* global, int source_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  if constexpr (kBytes == 16) {  // past L1: a tile is read once a block
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)),
                 "l"(global), "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n" ::"r"(shared_address(shared)),
                 "l"(global), "n"(kBytes), "r"(source_bytes)
                 : "memory");
  }
}
/// Ends a group of this thread's copies.
MSD_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Waits for this thread's groups but the last kPending.
template <int kPending>
MSD_DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

/// Four 8x8 matrices of 16-bit elements: lane l gives the address of row l%8 of matrix l/8 (16
/// bytes, aligned); fragment[i] is elements 2*(l%4) and +1 of row l/4 of matrix i.
MSD_DEVICE void load_matrix_x4(std::uint32_t (&fragment)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same of the transposed matrices: fragment[i] is elements l/4 of rows 2*(l%4) and +1.
MSD_DEVICE void load_matrix_x4_transposed(std::uint32_t (&fragment)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(shared_address(row))
               : "memory");
}

/// d += a*b, a: 16x16, b: 16x8, bf16 pairs (lower index in the lower half); d: 16x8. With
/// g = lane/4, t = lane%4: a = {[g][2t], [g+8][2t], [g][2t+8], [g+8][2t+8]} and right neighbours;
/// b = {[2t][g], [2t+8][g]} and the rows below; d = {[g][2t], [g][2t+1], [g+8][2t], [g+8][2t+1]}.
MSD_DEVICE void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4],
                             const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// d += a*b, a: 16x8, b: 8x8, tf32 (to_tf32); d: 16x8 as above.
/// a = {[g][t], [g+8][t], [g][t+4], [g+8][t+4]}, b = {[t][g], [t+4][g]}.
MSD_DEVICE void mma_m16n8k8(float (&d)[4], const std::uint32_t (&a)[4],
                            const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// To nearest tf32 (10 fraction bits), ties away from zero; a float's bits with the low 13 unused.
MSD_DEVICE std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(value));
  return bits;
}

}  // namespace msd::cuda

#else
#include <emulated_device_code.h>  // found by include path
#endif

// Built on the primitives above. MSD_CALLER and MSD_PASS_CALLER hand the kernel's line on to the
// emulated device.
namespace msd::cuda {

/// Starts a copy of kBytes, or of zeros where !valid.
template <int kBytes>
MSD_DEVICE void copy_async(void* shared, const void* global, bool valid = true) {
  copy_async_part<kBytes>(shared, global, valid ? kBytes : 0);
}

MSD_DEVICE int lane_index() { return static_cast<int>(threadIdx.x) % kWarpSize; }

MSD_DEVICE bool warp_all(bool predicate MSD_CALLER) {
  return ballot(predicate MSD_PASS_CALLER) == 0xFFFFFFFFu;
}
MSD_DEVICE bool warp_any(bool predicate MSD_CALLER) {
  return ballot(predicate MSD_PASS_CALLER) != 0;
}

/// combine(a, b) over the warp as a butterfly: the same value in every lane where combine is
/// commutative, always in the same order.
template <typename T, typename Combine>
MSD_DEVICE T warp_reduce(T value, Combine combine MSD_CALLER) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value = combine(value, shuffle_xor(value, distance MSD_PASS_CALLER));
  }
  return value;
}
template <typename T>
MSD_DEVICE T warp_sum(T value MSD_CALLER) {
  return warp_reduce(value, [](T a, T b) { return a + b; } MSD_PASS_CALLER);
}
template <typename T>
MSD_DEVICE T warp_min(T value MSD_CALLER) {
  return warp_reduce(value, [](T a, T b) { return b < a ? b : a; } MSD_PASS_CALLER);
}
template <typename T>
MSD_DEVICE T warp_max(T value MSD_CALLER) {
  return warp_reduce(value, [](T a, T b) { return a < b ? b : a; } MSD_PASS_CALLER);
}

/// Two bf16 as the matrix instructions take them: `low` has the lower index.
MSD_DEVICE std::uint32_t pack_bfloat16(float low, float high) {
  const auto bits = [](float value) {
    return static_cast<std::uint32_t>(__bfloat16_as_ushort(to_bfloat16(value)));
  };
  return bits(low) | bits(high) << 16;
}

}  // namespace msd::cuda
