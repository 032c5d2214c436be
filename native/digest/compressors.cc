// See compressors.h.
#include "digest/compressors.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <iterator>
#include <cstring>

#include "digest/sha_variants.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace scatterwire {

namespace {

bool always() { return true; }

#if defined(__x86_64__)

// What CPUID says, and which registers the system saves when it switches threads: without the latter, wide registers lose
// their contents although the processor has them.
struct Processor {
  bool sha = false;
  bool avx2 = false;
  bool avx512 = false;

  Processor() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return;
    const bool sse41 = (c & bit_SSE4_1) != 0 && (c & bit_SSSE3) != 0;
    const uint64_t saved = (c & bit_OSXSAVE) != 0 ? savedRegisters() : 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return;
    constexpr uint64_t kYmm = 0x6;
    constexpr uint64_t kZmm = 0xe6;
    sha = sse41 && (b & bit_SHA) != 0;
    avx2 = (saved & kYmm) == kYmm && (b & bit_AVX2) != 0;
    avx512 = (saved & kZmm) == kZmm && (b & bit_AVX512F) != 0 && (b & bit_AVX512BW) != 0;
  }

  // XGETBV with index 0. The intrinsic would want its instruction set switched on.
  static uint64_t savedRegisters() {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t{high} << 32) | low;
  }

  static const Processor& here() {
    static const Processor processor;
    return processor;
  }
};

#endif

constexpr Compressor kCompressors[] = {
#if defined(__x86_64__)
    {"avx512x16", 16, sha1Avx512, sha256Avx512, [] { return Processor::here().avx512; }},
    {"avx2x8", 8, sha1Avx2, sha256Avx2, [] { return Processor::here().avx2; }},
    {"shani2", 2, sha1ShaNi2, sha256ShaNi2, [] { return Processor::here().sha; }},
    {"shani1", 1, sha1ShaNi1, sha256ShaNi1, [] { return Processor::here().sha; }},
#endif
    {"openssl", 1, sha1OpenSsl, sha256OpenSsl, always},
};

static_assert(std::size(kCompressors) <= kCompressorsMax);

}  // namespace

size_t findCompressors(const Compressor** found, size_t capacity) {
  size_t count = 0;
  for (const Compressor& compressor : kCompressors) {
    if (compressor.available() && count < capacity) found[count++] = &compressor;
  }
  return count;
}

const Compressor* findCompressor(const char* name) {
  for (const Compressor& compressor : kCompressors) {
    if (strcmp(compressor.name, name) == 0) return compressor.available() ? &compressor : nullptr;
  }
  return nullptr;
}

CompressorChoice::CompressorChoice(DigestAlgorithm algorithm, const Compressor* forced) : algorithm_(algorithm) {
  const Compressor* compressors[kCompressorsMax] = {forced};
  const size_t count = forced != nullptr ? 1 : findCompressors(compressors, kCompressorsMax);
  double nanos[kCompressorsMax] = {};
  for (size_t index = 0; index < count; index++) {
    nanos[index] = forced != nullptr ? 1 : measureNanos(*compressors[index]);
  }
  // What n streams cost: what the first of them cost, with the best way there is, and then the rest.
  double cost[kLanesMax + 1] = {};
  for (size_t streams = 1; streams <= kLanesMax; streams++) {
    for (size_t index = 0; index < count; index++) {
      const size_t taken = std::min(streams, compressors[index]->lanes);
      const double sum = nanos[index] + cost[streams - taken];
      if (first_for_[streams] != nullptr && sum >= cost[streams]) continue;
      first_for_[streams] = compressors[index];
      cost[streams] = sum;
    }
  }
  // More streams than these are hardly cheaper each, and would wait for each other.
  constexpr double kHardly = 1.03;
  double best = cost[1];
  for (size_t streams = 2; streams <= kLanesMax; streams++) {
    best = std::min(best, cost[streams] / static_cast<double>(streams));
  }
  while (cost[lanes_best_] / static_cast<double>(lanes_best_) > kHardly * best) lanes_best_++;
}

const CompressorChoice& CompressorChoice::cheapest(DigestAlgorithm algorithm) {
  if (algorithm == DigestAlgorithm::kSha1) {
    static const CompressorChoice sha1(DigestAlgorithm::kSha1, nullptr);
    return sha1;
  }
  static const CompressorChoice sha256(DigestAlgorithm::kSha256, nullptr);
  return sha256;
}

Compress CompressorChoice::compressOf(const Compressor& compressor) const {
  return algorithm_ == DigestAlgorithm::kSha1 ? compressor.sha1 : compressor.sha256;
}

double CompressorChoice::measureNanos(const Compressor& compressor) const {
  constexpr int kRounds = 8;
  constexpr size_t kBlocks = 32;
  using Clock = std::chrono::steady_clock;
  const unsigned char data[kHashBlockBytes * kBlocks] = {};
  uint32_t states[kLanesMax][kStateWordsMax] = {};
  Stream streams[kLanesMax];
  for (size_t lane = 0; lane < kLanesMax; lane++) streams[lane] = {states[lane], data};
  double best = 0;
  for (int round = 0; round < kRounds; round++) {
    const Clock::time_point begin = Clock::now();
    compressOf(compressor)(streams, kBlocks);
    const double nanos = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
    if (round == 0 || nanos < best) best = nanos;
  }
  return best;
}

void CompressorChoice::advance(Stream* streams, size_t count, size_t blocks) const {
  assert(count <= kLanesMax);
  while (count > 0) {
    assert(first_for_[count] != nullptr);
    const Compressor& compressor = *first_for_[count];
    const size_t taken = std::min(count, compressor.lanes);
    if (taken == compressor.lanes) {
      compressOf(compressor)(streams, blocks);
    } else {
      // Lanes without a stream repeat the first one's bytes, and nobody looks at what comes out.
      uint32_t unused[kStateWordsMax] = {};
      Stream filled[kLanesMax];
      for (size_t lane = 0; lane < compressor.lanes; lane++) {
        filled[lane] = lane < taken ? streams[lane] : Stream{unused, streams[0].data};
      }
      compressOf(compressor)(filled, blocks);
    }
    for (size_t lane = 0; lane < taken; lane++) streams[lane].data += kHashBlockBytes * blocks;
    streams += taken;
    count -= taken;
  }
}

}  // namespace scatterwire
