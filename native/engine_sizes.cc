// See engine_sizes.h.
#include "engine_sizes.h"

#include <cstdlib>
#include <string>

#include "cost_clocks.h"
#include "memory/slab.h"

namespace scatterwire {

namespace {

constexpr double kTableEntriesMax = 1 << 24;

// An option of createEngine; throws if it is missing or out of bounds.
size_t readOption(Napi::Object options, const char* name, double high, double step) {
  const Napi::Env env = options.Env();
  const Napi::Value option = options.Get(name);
  if (env.IsExceptionPending()) return 0;
  if (!option.IsNumber()) {
    Napi::TypeError::New(env, std::string(name) + ": expected a number").ThrowAsJavaScriptException();
    return 0;
  }
  const double value = option.As<Napi::Number>().DoubleValue();
  if (value >= step && value <= high) {
    const size_t size = static_cast<size_t>(value);
    if (static_cast<double>(size) == value && size % static_cast<size_t>(step) == 0) return size;
  }
  const std::string bounds =
      std::to_string(static_cast<int64_t>(step)) + " and at most " + std::to_string(static_cast<int64_t>(high));
  Napi::RangeError::New(env, std::string(name) + ": expected a multiple of " + bounds).ThrowAsJavaScriptException();
  return 0;
}

}  // namespace

EngineSizes readSizes(Napi::Object options) {
  const Napi::Env env = options.Env();
  EngineSizes sizes;
  sizes.slab_bytes = readOption(options, "slabBytes", static_cast<double>(kSlabBytesMax), kPageBytes);
  if (!env.IsExceptionPending()) sizes.plan_entries = readOption(options, "planEntries", kTableEntriesMax, 1);
  if (!env.IsExceptionPending()) sizes.ready_entries = readOption(options, "readyEntries", kTableEntriesMax, 1);
  if (!env.IsExceptionPending()) {
    sizes.completion_entries = readOption(options, "completionEntries", kTableEntriesMax, 1);
  }
  if (!env.IsExceptionPending()) sizes.job_words = readOption(options, "jobWords", kTableEntriesMax, 1);
  return sizes;
}

const Compressor* readDigestVariant(Napi::Object options) {
  const Napi::Env env = options.Env();
  const Napi::Value option = options.Get("digestVariant");
  const char* environment = getenv("SCATTERWIRE_DIGEST");
  std::string name = environment == nullptr ? "" : environment;
  if (!env.IsExceptionPending() && option.IsString()) name = option.As<Napi::String>().Utf8Value();
  if (env.IsExceptionPending() || name.empty()) return nullptr;
  const Compressor* compressor = findCompressor(name.c_str());
  if (compressor == nullptr) {
    Napi::RangeError::New(env, "digestVariant: this machine has no \"" + name + "\"").ThrowAsJavaScriptException();
  }
  return compressor;
}

size_t tableBytes(const EngineSizes& sizes) {
  return sizeof(double) * (2 * sizes.plan_entries + 2 * sizes.completion_entries + sizes.job_words + kCosts) +
         sizeof(int32_t) * 2 * sizes.ready_entries;
}

}  // namespace scatterwire
