// SPDX-License-Identifier: MIT
// gather_rows: exact copies of images.
#include "kernels/cpu/movement.h"

namespace msd::cpu::MSD_ISA {

void gather_rows(ThreadPool& pool, std::span<const GatherRowsArgs> group) {
  for (const GatherRowsArgs& args : group) {
    check_cpu_dtype("gather_rows", args.y.dtype);
    for (std::int64_t i = 0; i < args.y.n; ++i) {
      MSD_CHECK(args.index[i] >= 0 && args.index[i] < args.x.n, OpName{"gather_rows"}, ": index ",
                i, " is ", args.index[i], " of ", args.x.n, " images");
    }
  }
  // A task is one image, or some of its rows.
  const auto image_tasks = [](const GatherRowsArgs& args) {
    return args.y.c == 0 ? 0 : ceil_div(args.y.h * args.y.w, rows_of_task(args.y));
  };
  for_each_task(
      pool, group, [&](const GatherRowsArgs& args) { return args.y.n * image_tasks(args); },
      [&](const GatherRowsArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const std::int64_t image = task / image_tasks(args), size = args.y.h * args.y.w;
          const std::int64_t step = rows_of_task(args.y);
          const std::int64_t begin = task % image_tasks(args) * step;
          move_rows<false, T>({args.x.as<T>() + (args.index[image] * size + begin) * args.x.pitch,
                               args.x.pitch, args.y.as<T>() + (image * size + begin) * args.y.pitch,
                               args.y.pitch, std::min(step, size - begin), args.y.c});
        });
      });
}

}  // namespace msd::cpu::MSD_ISA
