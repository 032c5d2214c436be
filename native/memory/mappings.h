// The number space that TypeScript names memory in: the slab from 0 on, and mapped file i from (i + 1) * 2^40 on.
//
//   0 ........ slabBytes      2^40 ........ + length      2 * 2^40 ........ + length
//   |  slab  |  (nothing)     |  mapping 0 |  (nothing)   |  mapping 1 |  (nothing)
//
// Always: a pointer comes out only if all of the named bytes lie in one live region, and in a writable one if they are
// to be written. All memory that is touched on behalf of TypeScript is found here. A mapping that a job holds cannot go. The
// address of one that went is given to another as late as can be, so that whoever still knows it names nothing.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "memory/mapped_regions.h"
#include "memory/slab.h"

namespace scatterwire {

constexpr int kStrideBits = 40;                   // MAPPING_ADDRESS_STRIDE of limits.ts is 2^40
constexpr double kStride = 1099511627776.0;       // 2^40
constexpr double kExactMax = 9007199254740991.0;  // 2^53 - 1: up to here doubles are exact integers
constexpr size_t kMappingsMax = 8191;             // (8191 + 1) * 2^40 = 2^53

static_assert(kSlabBytesMax < (uint64_t{1} << kStrideBits), "slab and mapping addresses cannot meet");

enum class Access { kRead, kWrite };

class AddressSpace {
 public:
  explicit AddressSpace(std::shared_ptr<SharedMemory> slab) : slab_(std::move(slab)) {}
  ~AddressSpace() { unmapAll(); }
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // Pointer to `length` bytes at `address`, or nullptr: out of bounds, unmapped, read-only, or not numbers at all.
  char* find(double address, double length, Access access) const {
    // Written so that NaN fails: it compares false with everything. The slab is by far the most frequent.
    if (address >= 0 && length >= 0 && address + length <= static_cast<double>(slab_->size())) {
      return slab_->data() + static_cast<size_t>(address);
    }
    return findInMapping(address, length, access);
  }

  // Maps a file from its start, shared. Address of its first byte, or a negative errno.
  double map(int fd, double length, bool writable, bool populate);
  // 0, -EINVAL if nothing is mapped there, or -EBUSY if a job holds it.
  int unmap(double address);
  // No job may be running.
  void unmapAll();
  // Whether the mapping that `address` lies in is what the file is, as far as touching it has told. False if there is none.
  bool intact(double address) const;

  // Of an address that find() found: which region it lies in. 0 is the slab, which need not be held.
  static uint32_t regionOf(double address) {
    return static_cast<uint32_t>(static_cast<uint64_t>(address) >> kStrideBits);
  }
  void hold(uint32_t region) {
    assert(isMapped(region));
    mappings_[region - 1].holders++;
  }
  void letGo(uint32_t region) {
    assert(isMapped(region) && mappings_[region - 1].holders > 0);
    mappings_[region - 1].holders--;
  }
  // Whether somebody touched it where there is no file any more.
  bool damaged(uint32_t region) const {
    assert(isMapped(region));
    return MappedRegions::damaged(mappings_[region - 1].region);
  }

 private:
  struct Mapping {
    char* base = nullptr;
    size_t length = 0;
    bool writable = false;
    uint32_t holders = 0;
    int region = -1;  // of MappedRegions
  };
  bool isMapped(uint32_t region) const {
    return region >= 1 && region <= mappings_.size() && mappings_[region - 1].base != nullptr;
  }
  static void drop(const Mapping& mapping);
  char* findInMapping(double address, double length, Access access) const;

  std::shared_ptr<SharedMemory> slab_;
  std::vector<Mapping> mappings_;
  size_t next_ = 0;  // where to look for the next free place first
};

}  // namespace scatterwire
