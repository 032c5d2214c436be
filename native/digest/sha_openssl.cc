// SHA-1 and SHA-256 of one stream with OpenSSL, which Node carries and exports, on every architecture with the instructions
// that one has. The low-level functions are used, because they let a stream be taken up anywhere: the context is plain
// memory, and one with nothing buffered is its chaining value.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "digest/sha_variants.h"

namespace scatterwire {

void sha1OpenSsl(const Stream* streams, size_t blocks) {
  uint32_t* state = streams[0].state;
  SHA_CTX context;
  SHA1_Init(&context);
  context.h0 = state[0];
  context.h1 = state[1];
  context.h2 = state[2];
  context.h3 = state[3];
  context.h4 = state[4];
  SHA1_Update(&context, streams[0].data, kHashBlockBytes * blocks);
  state[0] = context.h0;
  state[1] = context.h1;
  state[2] = context.h2;
  state[3] = context.h3;
  state[4] = context.h4;
}

void sha256OpenSsl(const Stream* streams, size_t blocks) {
  uint32_t* state = streams[0].state;
  SHA256_CTX context;
  SHA256_Init(&context);
  for (size_t word = 0; word < 8; word++) context.h[word] = state[word];
  SHA256_Update(&context, streams[0].data, kHashBlockBytes * blocks);
  for (size_t word = 0; word < 8; word++) state[word] = context.h[word];
}

}  // namespace scatterwire
