// Digests over scattered memory: the one place that knows how they are computed, so that faster ways can take its
// place. Today: OpenSSL's, which Node carries.
//
// Always: one digest is used by one thread at a time; the caller sees to it.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <memory>

namespace scatterwire {

constexpr size_t kDigestBytesMax = 32;

enum class DigestAlgorithm { kSha1, kSha256 };

class Digest {
 public:
  explicit Digest(DigestAlgorithm algorithm);
  // False if OpenSSL refuses (out of memory, or an algorithm that is switched off).
  bool start();
  bool update(const void* data, size_t length);
  // Writes size() bytes.
  bool finish(unsigned char* output);
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  const EVP_MD* algorithm_;
  size_t size_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace scatterwire
