#include "digest.h"

namespace scatterwire {

Digest::Digest(DigestAlgorithm algorithm)
    : algorithm_(algorithm == DigestAlgorithm::kSha1 ? EVP_sha1() : EVP_sha256()),
      size_(algorithm == DigestAlgorithm::kSha1 ? 20 : 32),
      context_(EVP_MD_CTX_new()) {}

bool Digest::start() { return context_ != nullptr && EVP_DigestInit_ex(context_.get(), algorithm_, nullptr) == 1; }

bool Digest::update(const void* data, size_t length) {
  return context_ != nullptr && EVP_DigestUpdate(context_.get(), data, length) == 1;
}

bool Digest::finish(unsigned char* output) {
  unsigned int length = 0;
  return context_ != nullptr && EVP_DigestFinal_ex(context_.get(), output, &length) == 1;
}

}  // namespace scatterwire
