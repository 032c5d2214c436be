// Digests over scattered memory: the one place that knows how they are computed, so that faster ways can take its
// place. Today: OpenSSL's, which Node carries and exports.
//
// Always: one digest is used by one thread at a time; the caller sees to it. Bytes are fed between start() and finish()
// only; a digest used out of that order answers false and harms nothing.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <memory>

namespace scatterwire {

enum class DigestAlgorithm { kSha1, kSha256 };

class Digest {
 public:
  explicit Digest(DigestAlgorithm algorithm);
  // All three: false if OpenSSL refuses (no memory, an algorithm switched off), or if the order is wrong.
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
  // OpenSSL 3.0 calls a null pointer when a context that was not started is fed.
  bool started_ = false;
};

}  // namespace scatterwire
