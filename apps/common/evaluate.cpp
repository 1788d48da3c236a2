// SPDX-License-Identifier: MIT
#include "apps/common/evaluate.h"

#include <numeric>

#include "data/loader.h"

namespace msd {

Evaluation evaluate(Runtime& runtime, const Network& network, const ImageSet& set,
                    const std::vector<std::int64_t>& indices, const DataDescription& description,
                    std::int64_t batch) {
  const Plan plan(runtime, network);
  LoaderOptions options;
  options.batch_size = batch > 0 ? batch : preferred_batch(runtime);
  options.dtype = plan.dtype();
  options.mean = description.mean;
  options.std = description.std;
  Loader loader(set, indices, options);
  Evaluator evaluator(runtime, plan, options.batch_size);
  loader.start_epoch(0);
  while (const Batch* next = loader.next()) evaluator.add(next->images, next->labels);
  return {evaluator.records(), evaluator.counts()};
}

std::vector<std::int64_t> all_images(const ImageSet& set) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(set.size()));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

DataDescription describe(const Dataset& data) {
  return {data.name, data.class_names, data.mean, data.std};
}

void require_fit(const MsdnetConfig& config, const Dataset& data) {
  if (config.classes != data.classes()) {
    throw ConfigError(message("the network has ", config.classes, " classes but ", data.name, " ",
                              data.classes(), "; leave out --classes or choose other data"));
  }
  if (data.train.h != config.image_size || data.train.w != config.image_size) {
    throw ConfigError(message("the network takes images of ", config.image_size, "x",
                              config.image_size, " but those of ", data.name, " are ", data.train.h,
                              "x", data.train.w,
                              "; set --image-size, which also resizes a folder's images"));
  }
}

}  // namespace msd
