#include "slab.h"

#include <sys/mman.h>

#include <cstdint>

namespace scatterwire {

namespace {

constexpr size_t kPageSize = 4096;

// Some hosts (Electron) refuse ArrayBuffers over memory that is not theirs. Then the memory is theirs: an ordinary
// ArrayBuffer, one page longer than needed, aligned inside. The engine keeps a reference to it.
Slab createOrdinarySlab(Napi::Env env, size_t size) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, size + kPageSize);
  if (env.IsExceptionPending() || buffer.IsEmpty()) return {};
  const uintptr_t start = reinterpret_cast<uintptr_t>(buffer.Data());
  const size_t skip = (kPageSize - start % kPageSize) % kPageSize;
  Slab slab;
  slab.memory = std::make_shared<SlabMemory>(static_cast<char*>(buffer.Data()) + skip, size, false);
  slab.array = Napi::Uint8Array::New(env, size, buffer, skip);
  return slab;
}

}  // namespace

std::shared_ptr<SlabMemory> SlabMemory::create(size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  return std::make_shared<SlabMemory>(static_cast<char*>(data), size, true);
}

SlabMemory::~SlabMemory() {
  if (mapped_) munmap(data_, size_);
}

Slab createSlab(Napi::Env env, size_t size) {
  Slab slab;
  slab.memory = SlabMemory::create(size);
  if (slab.memory == nullptr) return {};
  // The finalizer drops JavaScript's share of the memory.
  auto* share = new std::shared_ptr<SlabMemory>(slab.memory);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, slab.memory->data(), size,
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<SlabMemory>*>(hint); }, share, &buffer);
  if (status != napi_ok) {
    delete share;
    return createOrdinarySlab(env, size);
  }
  slab.array = Napi::Uint8Array::New(env, size, Napi::ArrayBuffer(env, buffer), 0);
  return slab;
}

}  // namespace scatterwire
