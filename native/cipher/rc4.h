// The stream cipher RC4 over memory that is given by vectors: each byte is combined with the next byte of the key's stream, in place or
// on its way elsewhere. It keeps nobody out who wants to read; it is there for protocols that ask for it.
//
// The state is 258 bytes of the caller's: the permutation, and the two counters i and j behind it. Whoever sets it up does so elsewhere.
//
// Always: exactly as many bytes of the stream are used as are transformed; the state is what it must be for the next byte then.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace scatterwire {

constexpr size_t kRc4StateBytes = 258;

// Transforms the first `bytes` bytes of the vectors. To `to`, or in place where that is null. Answers how many there were.
size_t transformRc4(uint8_t* state, const iovec* vectors, size_t count, size_t bytes, uint8_t* to);

}  // namespace scatterwire
