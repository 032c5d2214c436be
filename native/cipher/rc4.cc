// See rc4.h. RC4 as it is published: each byte of the stream swaps two entries of the permutation, and is a third one.
#include "cipher/rc4.h"

#include <algorithm>
#include <cassert>

namespace scatterwire {

size_t transformRc4(uint8_t* state, const iovec* vectors, size_t count, size_t bytes, uint8_t* to) {
  assert(state != nullptr && (count == 0 || vectors != nullptr));
  // Here each entry of the permutation has a word of its own, where the state has a byte: whole words are what a processor loads
  // and stores without extra work, and this loop does little else.
  uint32_t s[256];
  for (size_t index = 0; index < 256; index++) s[index] = state[index];
  uint32_t i = state[256];
  uint32_t j = state[257];
  size_t left = bytes;
  for (size_t index = 0; index < count && left > 0; index++) {
    auto* from = static_cast<uint8_t*>(vectors[index].iov_base);
    const size_t length = std::min(left, vectors[index].iov_len);
    uint8_t* target = to == nullptr ? from : to + (bytes - left);
    for (size_t at = 0; at < length; at++) {
      i = (i + 1) & 255;
      const uint32_t a = s[i];
      j = (j + a) & 255;
      const uint32_t b = s[j];
      s[i] = b;
      s[j] = a;
      target[at] = static_cast<uint8_t>(from[at] ^ s[(a + b) & 255]);
    }
    left -= length;
  }
  for (size_t index = 0; index < 256; index++) state[index] = static_cast<uint8_t>(s[index]);
  state[256] = static_cast<uint8_t>(i);
  state[257] = static_cast<uint8_t>(j);
  return bytes - left;
}

}  // namespace scatterwire
