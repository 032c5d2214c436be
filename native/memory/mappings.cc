// See mappings.h. Mapping a file is a slow path; finding memory in a mapping is not.
#include "memory/mappings.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cassert>
#include <cerrno>

namespace scatterwire {

namespace {

#ifdef MAP_POPULATE
constexpr int kPopulate = MAP_POPULATE;
#else
constexpr int kPopulate = 0;
#endif

constexpr uint64_t kOffsetMask = (uint64_t{1} << kStrideBits) - 1;

}  // namespace

char* AddressSpace::findInMapping(double address, double length, Access access) const {
  if (!(address >= kStride && address <= kExactMax && length >= 0 && length <= kStride)) return nullptr;
  const uint64_t at = static_cast<uint64_t>(address);
  const uint64_t count = static_cast<uint64_t>(length);
  const uint64_t index = (at >> kStrideBits) - 1;
  if (index >= mappings_.size()) return nullptr;
  const Mapping& mapping = mappings_[index];
  const uint64_t offset = at & kOffsetMask;
  if (mapping.base == nullptr || offset > mapping.length || count > mapping.length - offset) return nullptr;
  if (access == Access::kWrite && !mapping.writable) return nullptr;
  assert(mapping.region >= 0 && offset + count <= mapping.length);
  return mapping.base + offset;
}

double AddressSpace::map(int fd, double length, bool writable, bool populate) {
  assert(length >= 1);
  // More than the addresses of one mapping.
  if (length > kStride) return -EFBIG;
  struct stat status = {};
  if (fstat(fd, &status) < 0) return -errno;
  // Touching a page behind the end of the file would be a SIGBUS.
  if (static_cast<double>(status.st_size) < length) return -EINVAL;
  size_t tried = 0;
  size_t index = next_;
  for (; tried < kMappingsMax && index < mappings_.size() && mappings_[index].base != nullptr; tried++) {
    index = (index + 1) % kMappingsMax;
  }
  if (tried == kMappingsMax) return -ENOMEM;
  const size_t size = static_cast<size_t>(length);
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* base = mmap(nullptr, size, protection, MAP_SHARED | (populate ? kPopulate : 0), fd, 0);
  if (base == MAP_FAILED) return -errno;
  const int region = MappedRegions::enter(static_cast<char*>(base), size, writable);
  if (region < 0) {
    munmap(base, size);
    return region;
  }
  if (index >= mappings_.size()) mappings_.resize(index + 1);
  assert(mappings_.size() <= kMappingsMax && mappings_[index].base == nullptr && mappings_[index].holders == 0);
  mappings_[index] = {static_cast<char*>(base), size, writable, 0, region};
  next_ = (index + 1) % kMappingsMax;
  assert(isMapped(static_cast<uint32_t>(index + 1)) && next_ < kMappingsMax);
  return static_cast<double>(index + 1) * kStride;
}

bool AddressSpace::intact(double address) const {
  if (findInMapping(address, 0, Access::kRead) == nullptr) return false;
  return !damaged(regionOf(address));
}

void AddressSpace::drop(const Mapping& mapping) {
  assert(mapping.base != nullptr && mapping.length > 0);
  assert(mapping.region >= 0 && mapping.holders == 0);
  MappedRegions::leave(mapping.region);
  munmap(mapping.base, mapping.length);
}

int AddressSpace::unmap(double address) {
  if (!(address >= kStride && address <= kExactMax)) return -EINVAL;
  const uint64_t at = static_cast<uint64_t>(address);
  const uint64_t index = (at >> kStrideBits) - 1;
  if ((at & kOffsetMask) != 0 || index >= mappings_.size()) return -EINVAL;
  Mapping& mapping = mappings_[index];
  if (mapping.base == nullptr) return -EINVAL;
  if (mapping.holders > 0) return -EBUSY;
  drop(mapping);
  mapping = {};
  assert(!isMapped(static_cast<uint32_t>(index + 1)));
  return 0;
}

void AddressSpace::unmapAll() {
  for (Mapping& mapping : mappings_) {
    assert(mapping.holders == 0);
    if (mapping.base != nullptr) drop(mapping);
  }
  mappings_.clear();
}

}  // namespace scatterwire
