// See slab.h. The two ways to get shared memory are here, and nothing else knows that there are two.
#include "memory/slab.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdint>

namespace scatterwire {

namespace {

// Some hosts (Electron) refuse ArrayBuffers over memory that is not theirs. Then the memory is theirs: an ordinary
// ArrayBuffer, one page longer than needed, aligned inside. Whoever uses the memory keeps a reference to the buffer.
SharedBuffer createOrdinary(Napi::Env env, size_t size) {
  assert(size > 0 && size <= kSlabBytesMax);
  napi_value value = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, size + kPageBytes, &data, &value) != napi_ok || data == nullptr) return {};
  const size_t beyond = reinterpret_cast<uintptr_t>(data) % kPageBytes;
  const size_t skip = beyond == 0 ? 0 : kPageBytes - beyond;
  assert(skip < kPageBytes);
  SharedBuffer shared;
  shared.memory = std::make_shared<SharedMemory>(static_cast<char*>(data) + skip, size, false);
  shared.buffer = Napi::ArrayBuffer(env, value);
  shared.offset = skip;
  return shared;
}

}  // namespace

SharedMemory::~SharedMemory() {
  assert(data_ != nullptr && size_ > 0);
  if (mapped_) munmap(data_, size_);
}

void SharedMemory::discard() {
  assert(reinterpret_cast<uintptr_t>(data_) % kPageBytes == 0);
  if (mapped_) madvise(data_, size_, MADV_DONTNEED);
}

void preferLargePages(const SharedMemory& memory) {
  if (memory.mapped()) preferLargePages(memory.data(), memory.size());
}

static void adviseWholePages(void* data, size_t size, int advice) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  assert(data != nullptr && page > 0 && (page & (page - 1)) == 0);
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + size) / page * page;
  assert(begin >= reinterpret_cast<uintptr_t>(data) && end <= reinterpret_cast<uintptr_t>(data) + size);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

void preferLargePages(void* data, size_t size) {
#ifdef MADV_HUGEPAGE
  adviseWholePages(data, size, MADV_HUGEPAGE);
#else
  (void)data;
  (void)size;
#endif
}

void releasePages(void* data, size_t size) {
#ifdef __linux__
  adviseWholePages(data, size, MADV_DONTNEED);
#else
  // Elsewhere the pages keep what is in them: zeros, as whoever releases them has left.
  (void)data;
  (void)size;
#endif
}

void populatePages(void* data, size_t size) {
  assert(data != nullptr);
#ifdef __linux__
#ifdef MADV_POPULATE_WRITE
  constexpr int kPopulateWrite = MADV_POPULATE_WRITE;
#else
  constexpr int kPopulateWrite = 23;  // Linux 5.14; older headers do not name it
#endif
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(data) + size;
  assert(begin <= reinterpret_cast<uintptr_t>(data) && end >= begin);
  // Only a system that does not know the advice is helped out: where there is no memory, whoever touches it would be ended.
  if (size == 0 || madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateWrite) == 0 || errno != EINVAL) return;
#endif
  // A page is there once something was written to it: what it is already, in one piece, as others may write there as well.
  auto* bytes = static_cast<uint8_t*>(data);
  for (size_t at = 0; at < size; at += kPageBytes) __atomic_fetch_or(bytes + at, uint8_t{0}, __ATOMIC_RELAXED);
}

SharedBuffer createSharedBuffer(Napi::Env env, size_t size, bool ordinary) {
  assert(size > 0 && size <= kSlabBytesMax);
  if (ordinary) return createOrdinary(env, size);
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return {};
  SharedBuffer shared;
  shared.memory = std::make_shared<SharedMemory>(static_cast<char*>(data), size, true);
  // JavaScript's share of the memory; the finalizer drops it.
  auto* share = new std::shared_ptr<SharedMemory>(shared.memory);
  napi_value value = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, data, size, [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<SharedMemory>*>(hint); },
      share, &value);
  if (status == napi_ok) {
    shared.buffer = Napi::ArrayBuffer(env, value);
    return shared;
  }
  delete share;
  return env.IsExceptionPending() ? SharedBuffer{} : createOrdinary(env, size);
}

}  // namespace scatterwire
