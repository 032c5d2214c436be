// One digest under way: SHA-1 or SHA-256 of bytes that come in pieces. It keeps what lies between the pieces (the chaining
// value, the bytes of a block that is not full yet, the length) and leaves whole blocks to whoever hashes many digests at once.
//
// Always: one digest is used by one thread at a time; the caller sees to it. Fewer than a block's bytes are kept between
// calls, and none while whole blocks are fed from outside. Bytes are fed between start() and finish() only; the caller asks
// started() first.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "digest/compressors.h"

namespace scatterwire {

class Digest {
 public:
  explicit Digest(DigestAlgorithm algorithm) : algorithm_(algorithm) {}
  DigestAlgorithm algorithm() const { return algorithm_; }
  size_t size() const { return algorithm_ == DigestAlgorithm::kSha1 ? 20 : 32; }

  void start();
  bool started() const { return started_; }
  // Takes what is not whole blocks: what completes the block begun before, or what is less than one. Answers how many bytes
  // it took. If that is not all, whole blocks of the rest are to be fed from outside, through state() and fed().
  size_t take(const unsigned char* data, size_t length, const CompressorChoice& choice);
  uint32_t* state() { return state_; }
  void fed(size_t bytes) {
    assert(started_ && partial_bytes_ == 0 && bytes % kHashBlockBytes == 0);
    length_ += bytes;
  }
  // Writes size() bytes.
  void finish(unsigned char* output, const CompressorChoice& choice);

 private:
  void compress(const unsigned char* blocks, size_t count, const CompressorChoice& choice);

  DigestAlgorithm algorithm_;
  bool started_ = false;
  size_t partial_bytes_ = 0;
  uint64_t length_ = 0;
  uint32_t state_[kStateWordsMax] = {};
  unsigned char partial_[kHashBlockBytes] = {};
};

}  // namespace scatterwire
