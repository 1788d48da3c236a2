// SPDX-License-Identifier: MIT
// What the fuzzers run: each reader on bytes that may be anything.
#pragma once

#include <cstddef>
#include <span>

namespace msd::fuzz {

using Bytes = std::span<const std::byte>;

// Each reads the bytes and looks at all that came of them; throws msd::Error where they are no such
// file. Nothing else may happen.
void cifar(Bytes file);   // the first byte chooses the kind
void config(Bytes file);  // JSON of a model configuration
void image(Bytes file);   // of any format
void jpeg(Bytes file);
void pickle(Bytes file);  // PyTorch's, without a file around it; the network in it
void png(Bytes file);
void safetensors(Bytes file);
void thresholds(Bytes file);  // thresholds.json
void torch(Bytes file);       // both formats of torch.save
void torch7(Bytes file);      // .t7
void webp(Bytes file);

/// Runs a target. An msd::Error is as good as a result if its text is one line; true where there
/// was none. Whatever else is thrown goes through.
bool run(void (*target)(Bytes), Bytes file);

}  // namespace msd::fuzz
