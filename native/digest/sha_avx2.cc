// SHA-1 and SHA-256 of 8 streams at once, with AVX2.
#include "digest/sha_variants.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace scatterwire {

namespace {

#define LANES_TARGET __attribute__((target("avx2")))
#define LANES_FUNCTION LANES_TARGET
#define LANES_INLINE LANES_TARGET __attribute__((always_inline)) inline

using Vector = __m256i;
constexpr size_t kLanes = 8;

LANES_INLINE Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
LANES_INLINE Vector exclusiveOr(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
LANES_INLINE Vector exclusiveOr(Vector a, Vector b, Vector c) { return exclusiveOr(a, exclusiveOr(b, c)); }
LANES_INLINE Vector choose(Vector x, Vector y, Vector z) {
  return exclusiveOr(z, _mm256_and_si256(x, exclusiveOr(y, z)));
}
LANES_INLINE Vector majority(Vector x, Vector y, Vector z) {
  return _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
}
template <int bits>
LANES_INLINE Vector rotateLeft(Vector a) {
  return _mm256_or_si256(_mm256_slli_epi32(a, bits), _mm256_srli_epi32(a, 32 - bits));
}
template <int bits>
LANES_INLINE Vector shiftRight(Vector a) {
  return _mm256_srli_epi32(a, bits);
}
LANES_INLINE Vector broadcast(uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
LANES_INLINE Vector loadWords(const uint32_t* words) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(words));
}
LANES_INLINE void storeWords(uint32_t* words, Vector a) { _mm256_store_si256(reinterpret_cast<__m256i*>(words), a); }

// A transposition of 8 x 8 words for each half of the block.
LANES_INLINE void loadHalfBlock(const Stream* streams, size_t offset, Vector* w) {
  const Vector swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  Vector rows[8];
  for (size_t row = 0; row < 8; row++) {
    const auto* bytes = reinterpret_cast<const __m256i*>(streams[row].data + offset);
    rows[row] = _mm256_shuffle_epi8(_mm256_loadu_si256(bytes), swap);
  }
  // quads[4i + j] has word 4h + j of rows 4i … 4i + 3 in its half h.
  Vector quads[8];
  for (size_t i = 0; i < 2; i++) {
    const Vector low01 = _mm256_unpacklo_epi32(rows[4 * i], rows[4 * i + 1]);
    const Vector high01 = _mm256_unpackhi_epi32(rows[4 * i], rows[4 * i + 1]);
    const Vector low23 = _mm256_unpacklo_epi32(rows[4 * i + 2], rows[4 * i + 3]);
    const Vector high23 = _mm256_unpackhi_epi32(rows[4 * i + 2], rows[4 * i + 3]);
    quads[4 * i] = _mm256_unpacklo_epi64(low01, low23);
    quads[4 * i + 1] = _mm256_unpackhi_epi64(low01, low23);
    quads[4 * i + 2] = _mm256_unpacklo_epi64(high01, high23);
    quads[4 * i + 3] = _mm256_unpackhi_epi64(high01, high23);
  }
  for (size_t j = 0; j < 4; j++) {
    w[j] = _mm256_permute2x128_si256(quads[j], quads[4 + j], 0x20);
    w[4 + j] = _mm256_permute2x128_si256(quads[j], quads[4 + j], 0x31);
  }
}

LANES_INLINE void loadBlock(const Stream* streams, size_t offset, Vector (&w)[16]) {
  loadHalfBlock(streams, offset, w);
  loadHalfBlock(streams, offset + kHashBlockBytes / 2, w + 8);
}

#include "digest/sha_rounds.h"

}  // namespace

void sha1Avx2(const Stream* streams, size_t blocks) { sha1Lanes(streams, blocks); }
void sha256Avx2(const Stream* streams, size_t blocks) { sha256Lanes(streams, blocks); }

}  // namespace scatterwire

#endif
