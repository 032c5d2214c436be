// See digest.h. Initial values, padding and the order of bytes are those of FIPS 180-4.
#include "digest/digest.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace scatterwire {

namespace {

constexpr uint32_t kSha1Start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
constexpr uint32_t kSha256Start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
// Where the length in bits is, in the last block.
constexpr size_t kLengthAt = kHashBlockBytes - sizeof(uint64_t);

void putBigEndian(unsigned char* output, uint64_t value, size_t bytes) {
  for (size_t index = bytes; index > 0; index--) {
    output[index - 1] = static_cast<unsigned char>(value);
    value >>= 8;
  }
}

}  // namespace

void Digest::start() {
  started_ = true;
  partial_bytes_ = 0;
  length_ = 0;
  if (algorithm_ == DigestAlgorithm::kSha1) {
    std::copy_n(kSha1Start, 5, state_);
  } else {
    std::copy_n(kSha256Start, 8, state_);
  }
}

size_t Digest::take(const unsigned char* data, size_t length, const CompressorChoice& choice) {
  assert(started_);
  if (partial_bytes_ == 0 && length >= kHashBlockBytes) return 0;
  const size_t taken = std::min(length, kHashBlockBytes - partial_bytes_);
  // An empty stretch of memory may well be a null pointer, which memcpy must not be given.
  if (taken > 0) memcpy(partial_ + partial_bytes_, data, taken);
  partial_bytes_ += taken;
  length_ += taken;
  if (partial_bytes_ == kHashBlockBytes) {
    compress(partial_, 1, choice);
    partial_bytes_ = 0;
  }
  return taken;
}

// A one and zeros, and the length in bits at the end of a block: that one, if there is room, or one more.
void Digest::finish(unsigned char* output, const CompressorChoice& choice) {
  assert(started_ && partial_bytes_ < kHashBlockBytes);
  unsigned char last[2 * kHashBlockBytes] = {};
  memcpy(last, partial_, partial_bytes_);
  last[partial_bytes_] = 0x80;
  const size_t blocks = partial_bytes_ < kLengthAt ? 1 : 2;
  putBigEndian(last + kHashBlockBytes * (blocks - 1) + kLengthAt, 8 * length_, sizeof(uint64_t));
  compress(last, blocks, choice);
  for (size_t word = 0; word < size() / sizeof(uint32_t); word++) {
    putBigEndian(output + sizeof(uint32_t) * word, state_[word], sizeof(uint32_t));
  }
  started_ = false;
}

void Digest::compress(const unsigned char* blocks, size_t count, const CompressorChoice& choice) {
  Stream stream{state_, blocks};
  choice.advance(&stream, 1, count);
}

}  // namespace scatterwire
