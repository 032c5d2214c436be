#include "address_space.h"

#include <sys/mman.h>

#include <cerrno>

namespace scatterwire {

namespace {

constexpr int kStrideBits = 40;
constexpr double kStride = 1099511627776.0;          // 2^40, MAPPING_ADDRESS_STRIDE of limits.ts
constexpr double kAddressEnd = 9007199254740992.0;   // 2^53: doubles are exact below

#ifdef MAP_POPULATE
constexpr int kPopulate = MAP_POPULATE;
#else
constexpr int kPopulate = 0;
#endif

}  // namespace

AddressSpace::~AddressSpace() {
  for (const Mapping& mapping : mappings_) {
    if (mapping.base != nullptr) munmap(mapping.base, mapping.length);
  }
}

char* AddressSpace::translate(double address, double length) const {
  // Written so that NaN fails: it compares false with everything.
  if (!(address >= 0 && address < kAddressEnd && length >= 0 && length <= kStride)) return nullptr;
  const uint64_t at = static_cast<uint64_t>(address);
  const uint64_t count = static_cast<uint64_t>(length);
  const uint64_t region = at >> kStrideBits;
  if (region == 0) {
    const uint64_t size = slab_->size();
    return at <= size && count <= size - at ? slab_->data() + at : nullptr;
  }
  if (region > mappings_.size()) return nullptr;
  const Mapping& mapping = mappings_[region - 1];
  const uint64_t offset = at & ((uint64_t{1} << kStrideBits) - 1);
  if (mapping.base == nullptr || offset > mapping.length || count > mapping.length - offset) return nullptr;
  return mapping.base + offset;
}

double AddressSpace::map(int fd, double length, bool writable, bool populate) {
  if (!(length >= 1 && length < kStride)) return -EFBIG;
  const size_t size = static_cast<size_t>(length);
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* base = mmap(nullptr, size, protection, MAP_SHARED | (populate ? kPopulate : 0), fd, 0);
  if (base == MAP_FAILED) return -errno;
  size_t index = 0;
  while (index < mappings_.size() && mappings_[index].base != nullptr) index++;
  if (index == mappings_.size()) mappings_.emplace_back();
  mappings_[index] = {static_cast<char*>(base), size};
  return static_cast<double>(index + 1) * kStride;
}

int AddressSpace::unmap(double address) {
  if (!(address >= kStride && address < kAddressEnd)) return -EINVAL;
  const uint64_t at = static_cast<uint64_t>(address);
  const uint64_t index = (at >> kStrideBits) - 1;
  if ((at & ((uint64_t{1} << kStrideBits) - 1)) != 0 || index >= mappings_.size()) return -EINVAL;
  Mapping& mapping = mappings_[index];
  if (mapping.base == nullptr) return -EINVAL;
  const int result = munmap(mapping.base, mapping.length) == 0 ? 0 : -errno;
  mapping = {};
  return result;
}

}  // namespace scatterwire
