// SPDX-License-Identifier: MIT
#include "apps/common/evaluate.h"

#include <algorithm>
#include <numeric>

#include "data/batch_feed.h"

namespace msd {

Evaluation evaluate(Runtime& runtime, const Network& network, DType activations,
                    const ImageSet& set, const std::vector<std::int64_t>& indices,
                    const DataDescription& description, std::int64_t batch,
                    const std::atomic<bool>* stop) {
  const Plan plan(runtime, network, activations);
  LoaderOptions options;
  options.batch_size = std::clamp<std::int64_t>(std::ssize(indices), 1,
                                                batch > 0 ? batch : preferred_batch(runtime));
  options.dtype = network.dtype();
  options.mean = description.preprocessing.mean;
  options.std = description.preprocessing.std;
  BatchFeed feed(runtime, set, indices, options, Residency::streamed);
  Evaluator evaluator(runtime, plan, options.batch_size);
  feed.start_epoch(0);
  while (const Batch* next = feed.next()) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) throw Stopped();
    feed.put(evaluator.input(next->images.n), nullptr);
    evaluator.run(next->labels, next->images.n);
  }
  return {evaluator.records(), evaluator.counts()};
}

std::vector<std::int64_t> all_images(const ImageSet& set) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(set.size()));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

DataDescription data_description(const Dataset& data) {
  const ImageFit as_it_is = {data.train.h, data.train.h, Interpolation::bilinear};
  return {data.name, data.class_names, {as_it_is, data.mean, data.std}};
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
