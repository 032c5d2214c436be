// Memory that native code and TypeScript share: the slab that blocks live in, and the tables of plans, ready sockets
// and jobs. It is handed to TypeScript once, as views of one ArrayBuffer.
//
// Always: the memory begins at a page, reads as zeros at first, and lives as long as the last of those who use it: the
// array in JavaScript, the engine, and jobs on other threads, in whatever order they go.
#pragma once

#include <napi.h>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace scatterwire {

// What O_DIRECT asks for, and PAGE_SIZE of limits.ts. The machine's own pages may be larger.
constexpr size_t kPageBytes = 4096;
// Larger ones are refused by the ArrayBuffers of Node 20, and by a path in it that frees the memory a second time.
constexpr size_t kSlabBytesMax = (size_t{1} << 32) - (size_t{1} << 20);

class SharedMemory {
 public:
  // Takes memory that is ours (`mapped`) or that belongs to an ArrayBuffer somebody else keeps alive.
  SharedMemory(char* data, size_t size, bool mapped) : data_(data), size_(size), mapped_(mapped) {
    assert(data != nullptr && reinterpret_cast<uintptr_t>(data) % kPageBytes == 0 && size > 0);
  }
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }
  // True if the memory is ours, so that nothing JavaScript does with its ArrayBuffer can take it away.
  bool mapped() const { return mapped_; }
  // Gives the pages back to the system while arrays may still show them; they read as zeros then.
  void discard();

 private:
  char* data_;
  size_t size_;
  bool mapped_;
};

// A piece of shared memory and the ArrayBuffer that shows it: byte 0 of the memory is byte `offset` of the buffer.
struct SharedBuffer {
  std::shared_ptr<SharedMemory> memory;
  Napi::ArrayBuffer buffer;
  size_t offset = 0;
};

// `memory` is null when there is not enough of it, or when an exception is pending. With `ordinary` the buffer is made
// the way that hosts without external ArrayBuffers need; tests ask for it.
SharedBuffer createSharedBuffer(Napi::Env env, size_t size, bool ordinary);

// Asks for large pages where there are some: for memory that is read here and there. The first touch of each then costs more.
void preferLargePages(const SharedMemory& memory);
// Whole pages of memory that is somebody else's.
void preferLargePages(void* data, size_t size);
// Gives whole pages back to the machine: they are zeros when they are touched again.
void releasePages(void* data, size_t size);
// Has the machine find its pages for memory that will be written to, which is what the first touch of each waits for. What is in the
// memory stays as it is, whoever reads and writes it meanwhile.
void populatePages(void* data, size_t size);

}  // namespace scatterwire
