// SPDX-License-Identifier: MIT
// conv_pack: [cout][tap][cin] -> what the tiles read: for each class of destination pixels
//   (conv_pass.h) and each block of its channels (ChannelBlocks, conv_tile.h) [tap][in][lanes of
//   the block]. Lanes past the last channel are zeros, or in a paired block the half before them
//   again; the rest of the buffer is zeros.
#include "kernels/cpu/convolution/conv_limits.h"
#include "kernels/cpu/convolution/conv_pass.h"
#include "kernels/cpu/convolution/conv_tile.h"

namespace msd::cpu::MSD_ISA {
namespace {

template <typename T>
void pack(const ConvPackArgs& args, const PassGeometry& pass) {
  const ConvGeometry& g = args.geometry;
  const T* weight = static_cast<const T*>(args.weight);
  T* packed = static_cast<T*>(args.packed);
  const ChannelBlocks blocks = ChannelBlocks::of<T>(pass.dst_channels());
  const std::int64_t src_c = pass.src_channels(), dst_c = pass.dst_channels();
  const std::int64_t src_step = pass.forward() ? 1 : g.kernel * g.kernel * g.cin;
  const std::int64_t dst_step = pass.forward() ? g.kernel * g.kernel * g.cin : 1;
  const std::int64_t k_lanes = src_c * blocks.vectors * blocks.lanes;
  for (std::int64_t ry = 0; ry < pass.dst_step(); ++ry) {
    const AxisClass y = pass.axis(ry, 1);
    for (std::int64_t rx = 0; rx < pass.dst_step(); ++rx) {
      const AxisClass x = pass.axis(rx, 1);
      T* to = packed + pass.taps_before(y, x) * k_lanes;
      for (std::int64_t block = 0; block < blocks.blocks; ++block) {
        const std::int64_t channel = blocks.first_channel(block);
        const std::int64_t width = blocks.block_vectors(block) * blocks.lanes;
        const std::int64_t copy = blocks.paired(block) ? width - blocks.lanes / 2 : width;
        for (std::int64_t ty = 0; ty < y.taps; ++ty) {
          for (std::int64_t tx = 0; tx < x.taps; ++tx) {
            const T* tap = weight + ((y.first_tap + ty * y.tap_step) * g.kernel + x.first_tap +
                                     tx * x.tap_step) *
                                        g.cin;
            for (std::int64_t c = 0; c < src_c; ++c, to += width) {
              const T* from = tap + c * src_step + channel * dst_step;
              const std::int64_t exist = smaller(width, dst_c - channel);
              for (std::int64_t i = 0; i < exist; ++i) to[i] = from[i * dst_step];
              for (std::int64_t i = exist; i < width; ++i) to[i] = T{};
              for (std::int64_t i = copy; i < width; ++i) to[i] = to[i - blocks.lanes / 2];
            }
          }
        }
      }
    }
  }
  const std::int64_t used = g.kernel * g.kernel * k_lanes;
  for (std::int64_t i = used; i < conv_packed_elems(g, args.pass); ++i) packed[i] = T{};
}

}  // namespace

void conv_pack(ThreadPool& pool, std::span<const ConvPackArgs> group) {
  for (const ConvPackArgs& args : group) require_cpu_dtype("conv_pack", args.dtype);
  pool.parallel_for(static_cast<std::int64_t>(group.size()), [&](std::int64_t i, int) {
    const ConvPackArgs& args = group[static_cast<std::size_t>(i)];
    for_dtype(args.dtype, [&]<typename T>() { pack<T>(args, {args.geometry, args.pass}); });
  });
}

}  // namespace msd::cpu::MSD_ISA
