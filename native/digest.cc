// See digest.h.
#include "digest.h"

namespace scatterwire {

Digest::Digest(DigestAlgorithm algorithm)
    : algorithm_(algorithm == DigestAlgorithm::kSha1 ? EVP_sha1() : EVP_sha256()),
      size_(algorithm == DigestAlgorithm::kSha1 ? 20 : 32),
      context_(EVP_MD_CTX_new()) {}

bool Digest::start() {
  started_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), algorithm_, nullptr) == 1;
  return started_;
}

bool Digest::update(const void* data, size_t length) {
  return started_ && EVP_DigestUpdate(context_.get(), data, length) == 1;
}

bool Digest::finish(unsigned char* output) {
  if (!started_) return false;
  started_ = false;
  unsigned int length = 0;
  return EVP_DigestFinal_ex(context_.get(), output, &length) == 1 && length == size_;
}

}  // namespace scatterwire
