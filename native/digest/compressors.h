// The ways there are to feed whole blocks of 64 bytes to SHA-1 and SHA-256, each of which advances a fixed number of streams
// at once (its lanes), and which of them is the cheapest for how many streams are at hand.
//
//   streams at hand   1        2 … 6            7 … 16           (a processor with SHA-NI and AVX-512)
//   cheapest          shani1   shani2, repeated avx512x16
//
// Which it is depends on the processor, so it is measured, once per process and algorithm, by the thread that first needs to
// know: each way hashes a few KiB of hot memory several times, and its fastest time counts, since interruptions only ever make
// it slower. That takes about 0.2 ms. A table of constants was the alternative; it would have to know processors that halve
// wide instructions, lower their clock for them, or are emulated, and those not made yet.
//
// Always: every way computes the same. A state is the words of the chaining value in the processor's byte order, as the
// standard numbers them; nothing else is kept between calls, so that streams may change from one way to another at any block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace scatterwire {

enum class DigestAlgorithm { kSha1, kSha256 };

constexpr size_t kHashBlockBytes = 64;
constexpr size_t kStateWordsMax = 8;
constexpr size_t kLanesMax = 16;

// A stream: its state, and where its next bytes are.
struct Stream {
  uint32_t* state = nullptr;
  const unsigned char* data = nullptr;
};

// Advances as many streams as the compressor has lanes by `blocks` blocks each: their states, and not where their bytes are.
using Compress = void (*)(const Stream* streams, size_t blocks);

struct Compressor {
  const char* name;
  size_t lanes;
  Compress sha1;
  Compress sha256;
  bool (*available)();
};

// All that were compiled in and that this processor and system can run; at least "openssl", which is the last.
size_t findCompressors(const Compressor** found, size_t capacity);
// Null if there is none of that name.
const Compressor* findCompressor(const char* name);
constexpr size_t kCompressorsMax = 5;

// Which compressors to use for one algorithm.
class CompressorChoice {
 public:
  // Only `forced`, whatever it costs; or, if that is null, the cheapest.
  CompressorChoice(DigestAlgorithm algorithm, const Compressor* forced);
  // The cheapest, measured at the first call in this process.
  static const CompressorChoice& cheapest(DigestAlgorithm algorithm);

  // How many streams it takes to use the processor best.
  size_t lanesBest() const { return lanes_best_; }
  // Advances `count` streams by `blocks` blocks each, where they are too.
  void advance(Stream* streams, size_t count, size_t blocks) const;

 private:
  Compress compressOf(const Compressor& compressor) const;
  double measureNanos(const Compressor& compressor) const;

  DigestAlgorithm algorithm_;
  // By the number of streams: what advances the first of them.
  const Compressor* first_for_[kLanesMax + 1] = {};
  size_t lanes_best_ = 1;
};

}  // namespace scatterwire
