// The slab: one page-aligned region of memory, given to TypeScript once as one Uint8Array.
//
// Always: the memory lives as long as the last of those who use it: the array in JavaScript, the engine, and jobs on
// the thread pool, in whatever order they go.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

namespace scatterwire {

class SlabMemory {
 public:
  // nullptr when the memory cannot be had.
  static std::shared_ptr<SlabMemory> create(size_t size);
  SlabMemory(char* data, size_t size, bool mapped) : data_(data), size_(size), mapped_(mapped) {}
  ~SlabMemory();
  SlabMemory(const SlabMemory&) = delete;
  SlabMemory& operator=(const SlabMemory&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_;
  size_t size_;
  bool mapped_;
};

struct Slab {
  std::shared_ptr<SlabMemory> memory;
  Napi::Uint8Array array;
};

// The slab and its array. `memory` is null when there is not enough of it, or when an exception is pending.
Slab createSlab(Napi::Env env, size_t size);

}  // namespace scatterwire
