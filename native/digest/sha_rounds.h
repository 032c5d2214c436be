// SHA-1 and SHA-256 (FIPS 180-4) over several streams at once, one in each 32-bit lane of a vector. Included by one source file
// per kind of vector, inside its unnamed namespace, after it has defined:
//
//   LANES_INLINE                       the attributes of a function: inlined, and compiled for those instructions
//   Vector                             the type
//   kLanes                             its number of 32-bit lanes
//   add(a, b)  exclusiveOr(a, b)  exclusiveOr(a, b, c)  rotateLeft<n>(a)  shiftRight<n>(a)
//   choose(x, y, z)  majority(x, y, z)
//   broadcast(word)  loadWords(const uint32_t*)  storeWords(uint32_t*, a)
//   loadBlock(streams, offset, w)      the 16 words of the block at `offset` of each stream
//
// It is text and not templates over a type, because functions for instructions that the rest of the addon is not compiled for
// need that said of each of them.
//
// The schedule lives in 16 vectors that are re-used in a ring. The names of the working variables rotate instead of their values.

template <int t>
LANES_INLINE Vector sha1Word(Vector (&w)[16]) {
  if constexpr (t >= 16) {
    const Vector mixed = exclusiveOr(w[(t + 13) & 15], w[(t + 8) & 15], w[(t + 2) & 15]);
    w[t & 15] = rotateLeft<1>(exclusiveOr(mixed, w[t & 15]));
  }
  return w[t & 15];
}

template <int t>
LANES_INLINE void sha1Round(Vector a, Vector& b, Vector c, Vector d, Vector& e, const Vector (&k)[4], Vector (&w)[16]) {
  Vector f;
  if constexpr (t < 20) {
    f = choose(b, c, d);
  } else if constexpr (t >= 40 && t < 60) {
    f = majority(b, c, d);
  } else {
    f = exclusiveOr(b, c, d);
  }
  e = add(add(e, f), add(add(sha1Word<t>(w), k[t / 20]), rotateLeft<5>(a)));
  b = rotateLeft<30>(b);
}

template <int t>
LANES_INLINE void sha1FiveRounds(Vector (&s)[5], const Vector (&k)[4], Vector (&w)[16]) {
  sha1Round<t>(s[0], s[1], s[2], s[3], s[4], k, w);
  sha1Round<t + 1>(s[4], s[0], s[1], s[2], s[3], k, w);
  sha1Round<t + 2>(s[3], s[4], s[0], s[1], s[2], k, w);
  sha1Round<t + 3>(s[2], s[3], s[4], s[0], s[1], k, w);
  sha1Round<t + 4>(s[1], s[2], s[3], s[4], s[0], k, w);
}

// Turns the states of the streams into vectors, one per word, and back.
template <int words>
LANES_INLINE void loadStates(const Stream* streams, Vector (&s)[words]) {
  for (int word = 0; word < words; word++) {
    alignas(64) uint32_t column[kLanes];
    for (size_t lane = 0; lane < kLanes; lane++) column[lane] = streams[lane].state[word];
    s[word] = loadWords(column);
  }
}

template <int words>
LANES_INLINE void storeStates(const Stream* streams, const Vector (&s)[words]) {
  for (int word = 0; word < words; word++) {
    alignas(64) uint32_t column[kLanes];
    storeWords(column, s[word]);
    for (size_t lane = 0; lane < kLanes; lane++) streams[lane].state[word] = column[lane];
  }
}

LANES_FUNCTION void sha1Lanes(const Stream* streams, size_t blocks) {
  const Vector k[4] = {broadcast(0x5a827999), broadcast(0x6ed9eba1), broadcast(0x8f1bbcdc), broadcast(0xca62c1d6)};
  Vector s[5];
  loadStates(streams, s);
  for (size_t block = 0; block < blocks; block++) {
    Vector w[16];
    loadBlock(streams, kHashBlockBytes * block, w);
    const Vector before[5] = {s[0], s[1], s[2], s[3], s[4]};
    sha1FiveRounds<0>(s, k, w);
    sha1FiveRounds<5>(s, k, w);
    sha1FiveRounds<10>(s, k, w);
    sha1FiveRounds<15>(s, k, w);
    sha1FiveRounds<20>(s, k, w);
    sha1FiveRounds<25>(s, k, w);
    sha1FiveRounds<30>(s, k, w);
    sha1FiveRounds<35>(s, k, w);
    sha1FiveRounds<40>(s, k, w);
    sha1FiveRounds<45>(s, k, w);
    sha1FiveRounds<50>(s, k, w);
    sha1FiveRounds<55>(s, k, w);
    sha1FiveRounds<60>(s, k, w);
    sha1FiveRounds<65>(s, k, w);
    sha1FiveRounds<70>(s, k, w);
    sha1FiveRounds<75>(s, k, w);
    for (int word = 0; word < 5; word++) s[word] = add(s[word], before[word]);
  }
  storeStates(streams, s);
}

template <int t>
LANES_INLINE Vector sha256Word(Vector (&w)[16]) {
  if constexpr (t >= 16) {
    const Vector w15 = w[(t + 1) & 15];
    const Vector w2 = w[(t + 14) & 15];
    const Vector sigma0 = exclusiveOr(rotateLeft<25>(w15), rotateLeft<14>(w15), shiftRight<3>(w15));
    const Vector sigma1 = exclusiveOr(rotateLeft<15>(w2), rotateLeft<13>(w2), shiftRight<10>(w2));
    w[t & 15] = add(add(w[t & 15], sigma0), add(w[(t + 9) & 15], sigma1));
  }
  return w[t & 15];
}

template <int t>
LANES_INLINE void sha256Round(Vector a, Vector b, Vector c, Vector& d, Vector e, Vector f, Vector g, Vector& h,
                              Vector (&w)[16]) {
  const Vector sum1 = exclusiveOr(rotateLeft<26>(e), rotateLeft<21>(e), rotateLeft<7>(e));
  const Vector sum0 = exclusiveOr(rotateLeft<30>(a), rotateLeft<19>(a), rotateLeft<10>(a));
  const Vector constant = add(broadcast(kSha256Constants[t]), sha256Word<t>(w));
  const Vector first = add(add(h, sum1), add(choose(e, f, g), constant));
  d = add(d, first);
  h = add(first, add(sum0, majority(a, b, c)));
}

template <int t>
LANES_INLINE void sha256EightRounds(Vector (&s)[8], Vector (&w)[16]) {
  sha256Round<t>(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], w);
  sha256Round<t + 1>(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6], w);
  sha256Round<t + 2>(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5], w);
  sha256Round<t + 3>(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4], w);
  sha256Round<t + 4>(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3], w);
  sha256Round<t + 5>(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2], w);
  sha256Round<t + 6>(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1], w);
  sha256Round<t + 7>(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0], w);
}

LANES_FUNCTION void sha256Lanes(const Stream* streams, size_t blocks) {
  Vector s[8];
  loadStates(streams, s);
  for (size_t block = 0; block < blocks; block++) {
    Vector w[16];
    loadBlock(streams, kHashBlockBytes * block, w);
    const Vector before[8] = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]};
    sha256EightRounds<0>(s, w);
    sha256EightRounds<8>(s, w);
    sha256EightRounds<16>(s, w);
    sha256EightRounds<24>(s, w);
    sha256EightRounds<32>(s, w);
    sha256EightRounds<40>(s, w);
    sha256EightRounds<48>(s, w);
    sha256EightRounds<56>(s, w);
    for (int word = 0; word < 8; word++) s[word] = add(s[word], before[word]);
  }
  storeStates(streams, s);
}
