// SPDX-License-Identifier: MIT
#include "kernels/cpu/convolution/conv_plan.h"
#include "kernels/cpu/convolution/conv_planar_unit.h"
#include "kernels/cpu/convolution/conv_row_unit.h"

namespace msd::cpu::MSD_ISA {
namespace {

constexpr int kMaxPlans = 32;

template <typename T>
void run_unit(const Plan& plan, std::int64_t index, std::int64_t next_index, std::byte* memory) {
  const std::int64_t blocks = ChannelBlocks::of<T>(plan.dst.c).blocks;
  const Unit unit = unit_of(plan, index, blocks);
  const Unit next = unit_of(plan, next_index < plan.units ? next_index : index, blocks);
  const Unit* follows = next_index < plan.units ? &next : nullptr;
  T* scratch = reinterpret_cast<T*>(memory);
#if defined(__AVX512F__)
  if (plan.planar) return run_planar_unit<T>(plan, unit, follows, scratch);
#endif
  run_row_unit<T>(plan, unit, follows, scratch);
}

/// Plans that read the same pixels alternate, unit by unit: the second finds them in the cache.
/// Returns how many of the `count` plans, the first included, do.
std::size_t bundle(Plan* plans, std::size_t count) {
  const Plan& first = plans[0];
  std::size_t alike = 1;
  for (; alike < count && first.direct; ++alike) {
    const Plan& plan = plans[alike];
    if (!plan.direct || plan.src.data != first.src.data || plan.src.h != first.src.h ||
        plan.src.w != first.src.w || plan.src.n != first.src.n || plan.rows != first.rows ||
        plan.unit_images != first.unit_images || plan.block_units * first.block_units != 1) {
      break;
    }
  }
  std::int64_t rows = first.unit_rows;
  for (std::size_t i = 1; i < alike; ++i) rows = smaller(rows, plans[i].unit_rows);
  for (std::size_t i = 0; i < alike && alike > 1; ++i) {
    plans[i].units = plans[i].units / plans[i].row_units * ceil_div(plans[i].rows, rows);
    plans[i].unit_rows = rows;
    plans[i].row_units = ceil_div(plans[i].rows, rows);
  }
  return alike;
}

/// Runs all units of up to kMaxPlans problems in one parallel loop.
template <typename Args, typename MakePlan>
void run_group(ThreadPool& pool, std::span<const Args> group, const char* op,
               const MakePlan& make_plan) {
  for (const Args& args : group) require_cpu_dtype(op, make_plan(args).src.dtype);
  const std::int64_t threads = pool.size();
  while (!group.empty()) {
    const std::size_t count = group.size() < kMaxPlans ? group.size() : kMaxPlans;
    Plan plans[kMaxPlans];
    std::size_t alike[kMaxPlans];
    const std::int64_t wanted =
        threads == 1 ? 1 : ceil_div(4 * threads, static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      plans[i] = make_plan(group[i]);
      for_dtype(plans[i].src.dtype, [&]<typename T>() { cut<T>(plans[i], op, wanted); });
    }
    std::int64_t units = 0;
    for (std::size_t i = 0; i < count; i += alike[i]) {
      alike[i] = bundle(plans + i, count - i);
      units += static_cast<std::int64_t>(alike[i]) * plans[i].units;
    }
    pool.parallel_for(units, [&](std::int64_t unit, int worker) {
      std::size_t i = 0;
      std::int64_t n = static_cast<std::int64_t>(alike[0]);
      while (unit >= n * plans[i].units) {
        unit -= n * plans[i].units;
        i += alike[i];
        n = static_cast<std::int64_t>(alike[i]);
      }
      const Plan& plan = plans[i + static_cast<std::size_t>(unit % n)];
      for_dtype(plan.src.dtype, [&]<typename T>() {
        run_unit<T>(plan, unit / n, unit / n + threads, pool.scratch(worker));
      });
    });
    group = group.subspan(count);
  }
}

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

void conv_forward(ThreadPool& pool, std::span<const ConvForwardArgs> group) {
  for (const ConvForwardArgs& args : group) {
    if (args.statistics != nullptr) args.statistics->of = {};
  }
  run_group(pool, group, "conv_forward", [](const ConvForwardArgs& a) {
    Plan plan{};
    plan.pass = {a.geometry, ConvPass::forward};
    plan.src = a.x;
    plan.dst = a.y;
    plan.packed = a.packed;
    plan.bias = a.bias;
    plan.relu = a.relu;
    return plan;
  });
}

void conv_backward_data(ThreadPool& pool, std::span<const ConvBackwardDataArgs> group) {
  run_group(pool, group, "conv_backward_data", [](const ConvBackwardDataArgs& a) {
    Plan plan{};
    plan.pass = {a.geometry, ConvPass::backward_data};
    plan.src = a.dy;
    plan.dst = a.dx;
    plan.packed = a.packed;
    plan.accumulate = a.accumulate;
    return plan;
  });
}

}  // namespace msd::cpu::MSD_ISA
