// SHA-1 and SHA-256 with the SHA extensions of x86-64 processors, of one stream or of two that are interleaved. Each of those
// instructions takes several cycles until its result is there, and the next of the same stream needs it; a second stream fills
// the wait.
//
// Four rounds go at a time. The register layouts are those that the instructions ask for (Intel's manual, SHA1RNDS4 and
// SHA256RNDS2): for SHA-1, ABCD with A in the highest word, and E in the highest word of another; for SHA-256, ABEF and CDGH.
#include "digest/sha_variants.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace scatterwire {

namespace {

#define NI_FUNCTION __attribute__((target("sha,sse4.1,ssse3")))
#define NI_INLINE NI_FUNCTION __attribute__((always_inline)) inline

NI_INLINE __m128i load(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }
NI_INLINE void store(void* at, __m128i value) { _mm_storeu_si128(static_cast<__m128i*>(at), value); }

struct Sha1Lane {
  __m128i abcd;
  // Before a group of rounds: the ABCD that E comes from, or (at the start of a block) E itself.
  __m128i e_from;
  __m128i w[4];
};

// Rounds 4 × group … 4 × group + 3.
template <int group>
NI_INLINE void sha1Group(Sha1Lane& lane, const unsigned char* data) {
  __m128i& w = lane.w[group & 3];
  if constexpr (group < 4) {
    const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    w = _mm_shuffle_epi8(load(data + 16 * group), reverse);
  } else {
    const __m128i partial = _mm_sha1msg1_epu32(w, lane.w[(group + 1) & 3]);
    w = _mm_sha1msg2_epu32(_mm_xor_si128(partial, lane.w[(group + 2) & 3]), lane.w[(group + 3) & 3]);
  }
  const __m128i e = group == 0 ? _mm_add_epi32(lane.e_from, w) : _mm_sha1nexte_epu32(lane.e_from, w);
  lane.e_from = lane.abcd;
  lane.abcd = _mm_sha1rnds4_epu32(lane.abcd, e, group / 5);
}

template <int group, int count>
NI_INLINE void sha1GroupOfAll(Sha1Lane (&lanes)[count], const Stream* streams, size_t offset) {
  for (int index = 0; index < count; index++) sha1Group<group>(lanes[index], streams[index].data + offset);
}

template <int group, int count>
NI_INLINE void sha1FiveGroups(Sha1Lane (&lanes)[count], const Stream* streams, size_t offset) {
  sha1GroupOfAll<group>(lanes, streams, offset);
  sha1GroupOfAll<group + 1>(lanes, streams, offset);
  sha1GroupOfAll<group + 2>(lanes, streams, offset);
  sha1GroupOfAll<group + 3>(lanes, streams, offset);
  sha1GroupOfAll<group + 4>(lanes, streams, offset);
}

template <int count>
NI_INLINE void sha1(const Stream* streams, size_t blocks) {
  Sha1Lane lanes[count];
  for (int index = 0; index < count; index++) {
    const uint32_t* state = streams[index].state;
    lanes[index].abcd = _mm_shuffle_epi32(load(state), 0x1b);
    lanes[index].e_from = _mm_set_epi32(static_cast<int>(state[4]), 0, 0, 0);
  }
  for (size_t block = 0; block < blocks; block++) {
    __m128i abcd_before[count];
    __m128i e_before[count];
    for (int index = 0; index < count; index++) {
      abcd_before[index] = lanes[index].abcd;
      e_before[index] = lanes[index].e_from;
    }
    const size_t offset = kHashBlockBytes * block;
    sha1FiveGroups<0>(lanes, streams, offset);
    sha1FiveGroups<5>(lanes, streams, offset);
    sha1FiveGroups<10>(lanes, streams, offset);
    sha1FiveGroups<15>(lanes, streams, offset);
    for (int index = 0; index < count; index++) {
      Sha1Lane& lane = lanes[index];
      lane.abcd = _mm_add_epi32(lane.abcd, abcd_before[index]);
      lane.e_from = _mm_sha1nexte_epu32(lane.e_from, e_before[index]);
    }
  }
  for (int index = 0; index < count; index++) {
    uint32_t* state = streams[index].state;
    store(state, _mm_shuffle_epi32(lanes[index].abcd, 0x1b));
    state[4] = static_cast<uint32_t>(_mm_extract_epi32(lanes[index].e_from, 3));
  }
}

struct Sha256Lane {
  __m128i abef;
  __m128i cdgh;
  __m128i w[4];
};

template <int group>
NI_INLINE void sha256Group(Sha256Lane& lane, const unsigned char* data) {
  __m128i& w = lane.w[group & 3];
  if constexpr (group < 4) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    w = _mm_shuffle_epi8(load(data + 16 * group), swap);
  } else {
    const __m128i last = lane.w[(group + 3) & 3];
    const __m128i seven_back = _mm_alignr_epi8(last, lane.w[(group + 2) & 3], 4);
    const __m128i partial = _mm_sha256msg1_epu32(w, lane.w[(group + 1) & 3]);
    w = _mm_sha256msg2_epu32(_mm_add_epi32(partial, seven_back), last);
  }
  const __m128i sum = _mm_add_epi32(w, load(kSha256Constants + 4 * group));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

template <int group, int count>
NI_INLINE void sha256GroupOfAll(Sha256Lane (&lanes)[count], const Stream* streams, size_t offset) {
  for (int index = 0; index < count; index++) sha256Group<group>(lanes[index], streams[index].data + offset);
}

template <int group, int count>
NI_INLINE void sha256FourGroups(Sha256Lane (&lanes)[count], const Stream* streams, size_t offset) {
  sha256GroupOfAll<group>(lanes, streams, offset);
  sha256GroupOfAll<group + 1>(lanes, streams, offset);
  sha256GroupOfAll<group + 2>(lanes, streams, offset);
  sha256GroupOfAll<group + 3>(lanes, streams, offset);
}

template <int count>
NI_INLINE void sha256(const Stream* streams, size_t blocks) {
  Sha256Lane lanes[count];
  for (int index = 0; index < count; index++) {
    const __m128i cdab = _mm_shuffle_epi32(load(streams[index].state), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(load(streams[index].state + 4), 0x1b);
    lanes[index].abef = _mm_alignr_epi8(cdab, efgh, 8);
    lanes[index].cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  }
  for (size_t block = 0; block < blocks; block++) {
    __m128i abef_before[count];
    __m128i cdgh_before[count];
    for (int index = 0; index < count; index++) {
      abef_before[index] = lanes[index].abef;
      cdgh_before[index] = lanes[index].cdgh;
    }
    const size_t offset = kHashBlockBytes * block;
    sha256FourGroups<0>(lanes, streams, offset);
    sha256FourGroups<4>(lanes, streams, offset);
    sha256FourGroups<8>(lanes, streams, offset);
    sha256FourGroups<12>(lanes, streams, offset);
    for (int index = 0; index < count; index++) {
      lanes[index].abef = _mm_add_epi32(lanes[index].abef, abef_before[index]);
      lanes[index].cdgh = _mm_add_epi32(lanes[index].cdgh, cdgh_before[index]);
    }
  }
  for (int index = 0; index < count; index++) {
    const __m128i feba = _mm_shuffle_epi32(lanes[index].abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(lanes[index].cdgh, 0xb1);
    store(streams[index].state, _mm_blend_epi16(feba, dchg, 0xf0));
    store(streams[index].state + 4, _mm_alignr_epi8(dchg, feba, 8));
  }
}

}  // namespace

NI_FUNCTION void sha1ShaNi1(const Stream* streams, size_t blocks) { sha1<1>(streams, blocks); }
NI_FUNCTION void sha1ShaNi2(const Stream* streams, size_t blocks) { sha1<2>(streams, blocks); }
NI_FUNCTION void sha256ShaNi1(const Stream* streams, size_t blocks) { sha256<1>(streams, blocks); }
NI_FUNCTION void sha256ShaNi2(const Stream* streams, size_t blocks) { sha256<2>(streams, blocks); }

}  // namespace scatterwire

#endif
