// The options of createEngine: how much memory an engine has, above all.
//
// Always: sizes that were read without an exception are within bounds, so that sums and products of them are exact.
#pragma once

#include <napi.h>

#include <cstddef>

#include "digest/compressors.h"

namespace scatterwire {

struct EngineSizes {
  size_t slab_bytes = 0;
  size_t plan_entries = 0;
  size_t ready_entries = 0;
  size_t completion_entries = 0;
  size_t job_words = 0;
};

// Throws (an exception is pending then) if an option is missing, no number, or out of bounds.
EngineSizes readSizes(Napi::Object options);

// The one compressor that all digests are to be computed with, as the option digestVariant or the environment's
// SCATTERWIRE_DIGEST names it; null if neither does. Throws if this machine has none of that name.
const Compressor* readDigestVariant(Napi::Object options);

// Bytes that the shared tables need.
size_t tableBytes(const EngineSizes& sizes);

}  // namespace scatterwire
