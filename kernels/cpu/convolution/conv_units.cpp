// SPDX-License-Identifier: MIT
#include "kernels/cpu/convolution/conv_units.h"

#include "kernels/cpu/convolution/conv_planar_unit.h"
#include "kernels/cpu/convolution/conv_row_unit.h"

namespace msd::cpu::MSD_ISA {
namespace {

template <typename T>
void run_unit(const ConvolutionCut& cut, std::int64_t index, std::int64_t next_index,
              std::byte* memory) {
  const std::int64_t blocks = ChannelBlocks::of<T>(cut.dst.c).blocks;
  const Unit unit = unit_of(cut, index, blocks);
  const Unit next = unit_of(cut, next_index < cut.units ? next_index : index, blocks);
  const Unit* follows = next_index < cut.units ? &next : nullptr;
  T* scratch = reinterpret_cast<T*>(memory);
#if defined(__AVX512F__)
  if (cut.planar) return run_planar_unit<T>(cut, unit, follows, scratch);
#endif
  run_row_unit<T>(cut, unit, follows, scratch);
}

/// Cuts that read the same pixels alternate, unit by unit: the second finds them in the cache.
/// Returns how many, the first included, do.
std::size_t bundle(std::span<ConvolutionCut> cuts) {
  const ConvolutionCut& first = cuts[0];
  std::size_t alike = 1;
  for (; alike < cuts.size() && first.direct; ++alike) {
    const ConvolutionCut& cut = cuts[alike];
    if (!cut.direct || cut.src.data != first.src.data || cut.src.h != first.src.h ||
        cut.src.w != first.src.w || cut.src.n != first.src.n || cut.rows != first.rows ||
        cut.unit_images != first.unit_images || cut.block_units * first.block_units != 1) {
      break;
    }
  }
  std::int64_t rows = first.unit_rows;
  for (std::size_t i = 1; i < alike; ++i) rows = smaller(rows, cuts[i].unit_rows);
  for (std::size_t i = 0; i < alike && alike > 1; ++i) {
    cuts[i].units = cuts[i].units / cuts[i].row_units * ceil_div(cuts[i].rows, rows);
    cuts[i].unit_rows = rows;
    cuts[i].row_units = ceil_div(cuts[i].rows, rows);
  }
  return alike;
}

}  // namespace

void run_units(ThreadPool& pool, std::span<ConvolutionCut> cuts, const char* op) {
  const std::int64_t threads = pool.size();
  const std::size_t count = cuts.size();
  std::size_t alike[kMostCuts];
  const std::int64_t wanted =
      threads == 1 ? 1 : ceil_div(4 * threads, static_cast<std::int64_t>(count));
  for (ConvolutionCut& cut : cuts) {
    for_dtype(cut.src.dtype, [&]<typename T>() { cut_into_units<T>(cut, op, wanted); });
  }
  std::int64_t units = 0;
  for (std::size_t i = 0; i < count; i += alike[i]) {
    alike[i] = bundle(cuts.subspan(i));
    units += static_cast<std::int64_t>(alike[i]) * cuts[i].units;
  }
  pool.parallel_for(units, [&](std::int64_t unit, int worker) {
    std::size_t i = 0;
    std::int64_t n = static_cast<std::int64_t>(alike[0]);
    while (unit >= n * cuts[i].units) {
      unit -= n * cuts[i].units;
      i += alike[i];
      n = static_cast<std::int64_t>(alike[i]);
    }
    const ConvolutionCut& cut = cuts[i + static_cast<std::size_t>(unit % n)];
    for_dtype(cut.src.dtype, [&]<typename T>() {
      run_unit<T>(cut, unit / n, unit / n + threads, pool.scratch(worker));
    });
  });
}

}  // namespace msd::cpu::MSD_ISA
