// SHA-1 and SHA-256 of 16 streams at once, with AVX-512 F and BW. What makes it cheap beyond the width: any function of three
// words is one instruction (vpternlogd), and so is a rotation (vprold); and 32 registers hold the whole schedule.
#include "digest/sha_variants.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the operand that its intrinsics leave undefined on purpose for a mistake, wherever they are inlined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace scatterwire {

namespace {

#define LANES_TARGET __attribute__((target("avx512f,avx512bw")))
#define LANES_FUNCTION LANES_TARGET
#define LANES_INLINE LANES_TARGET __attribute__((always_inline)) inline

using Vector = __m512i;
constexpr size_t kLanes = 16;

LANES_INLINE Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
LANES_INLINE Vector exclusiveOr(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
// The last argument is the function's table of truth: bit 4a + 2b + c.
LANES_INLINE Vector exclusiveOr(Vector a, Vector b, Vector c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
LANES_INLINE Vector choose(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
LANES_INLINE Vector majority(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xe8); }
template <int bits>
LANES_INLINE Vector rotateLeft(Vector a) {
  return _mm512_rol_epi32(a, bits);
}
template <int bits>
LANES_INLINE Vector shiftRight(Vector a) {
  return _mm512_srli_epi32(a, bits);
}
LANES_INLINE Vector broadcast(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
LANES_INLINE Vector loadWords(const uint32_t* words) { return _mm512_load_si512(words); }
LANES_INLINE void storeWords(uint32_t* words, Vector a) { _mm512_store_si512(words, a); }

// Rows are blocks of streams, columns are wanted: a transposition of 16 x 16 words. Gathering the columns is slower.
LANES_INLINE void loadBlock(const Stream* streams, size_t offset, Vector (&w)[16]) {
  const Vector swap = _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  Vector rows[16];
  for (size_t row = 0; row < 16; row++) {
    rows[row] = _mm512_shuffle_epi8(_mm512_loadu_si512(streams[row].data + offset), swap);
  }
  // Within each 128 bits: words of two rows, then of four. After that, quads[4i + j] has word 4q + j of rows 4i … 4i + 3 in
  // its quarter q.
  Vector quads[16];
  for (size_t i = 0; i < 4; i++) {
    const Vector low01 = _mm512_unpacklo_epi32(rows[4 * i], rows[4 * i + 1]);
    const Vector high01 = _mm512_unpackhi_epi32(rows[4 * i], rows[4 * i + 1]);
    const Vector low23 = _mm512_unpacklo_epi32(rows[4 * i + 2], rows[4 * i + 3]);
    const Vector high23 = _mm512_unpackhi_epi32(rows[4 * i + 2], rows[4 * i + 3]);
    quads[4 * i] = _mm512_unpacklo_epi64(low01, low23);
    quads[4 * i + 1] = _mm512_unpackhi_epi64(low01, low23);
    quads[4 * i + 2] = _mm512_unpacklo_epi64(high01, high23);
    quads[4 * i + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
  // Then the quarters: a transposition of 4 x 4 of them for each j.
  for (size_t j = 0; j < 4; j++) {
    const Vector even01 = _mm512_shuffle_i32x4(quads[j], quads[4 + j], 0x88);
    const Vector odd01 = _mm512_shuffle_i32x4(quads[j], quads[4 + j], 0xdd);
    const Vector even23 = _mm512_shuffle_i32x4(quads[8 + j], quads[12 + j], 0x88);
    const Vector odd23 = _mm512_shuffle_i32x4(quads[8 + j], quads[12 + j], 0xdd);
    w[j] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    w[4 + j] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    w[8 + j] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    w[12 + j] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  }
}

#include "digest/sha_rounds.h"

}  // namespace

void sha1Avx512(const Stream* streams, size_t blocks) { sha1Lanes(streams, blocks); }
void sha256Avx512(const Stream* streams, size_t blocks) { sha256Lanes(streams, blocks); }

}  // namespace scatterwire

#endif
