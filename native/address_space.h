// The number space that TypeScript names memory in: the slab from 0 on, and mapping i from (i + 1) * 2^40 on.
//
// Always: translate() gives a pointer only if all of the named bytes lie in one live region; everything that reads or
// writes memory on behalf of TypeScript goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "slab.h"

namespace scatterwire {

class AddressSpace {
 public:
  explicit AddressSpace(std::shared_ptr<SlabMemory> slab) : slab_(std::move(slab)) {}
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // Pointer to `length` bytes at `address`, or nullptr: out of bounds, unmapped, or not numbers at all.
  char* translate(double address, double length) const;

  // Maps a file from its start. Address of its first byte, or a negative errno.
  double map(int fd, double length, bool writable, bool populate);
  // 0 or a negative errno.
  int unmap(double address);

 private:
  struct Mapping {
    char* base = nullptr;
    size_t length = 0;
  };
  std::shared_ptr<SlabMemory> slab_;
  std::vector<Mapping> mappings_;
};

}  // namespace scatterwire
