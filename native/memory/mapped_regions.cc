// See mapped_regions.h. What the handler uses is atomic and never moves: it may run on any thread, at any touch.
#include "memory/mapped_regions.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <vector>

namespace scatterwire {

namespace {

struct Region {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> writable{false};
  std::atomic<bool> damaged{false};
};

// Not freed at the end of the process, when other threads may still run.
struct Registry {
  std::mutex mutex;  // the handler does without
  Region* const regions = new Region[kMappingsOfProcessMax];
  std::vector<int> free;
  std::atomic<int> used{0};  // regions below this number were in use at some time
  int count = 0;
  struct sigaction before = {};
  uintptr_t page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
};

// Set before the handler is.
std::atomic<Registry*> registry_of_handler{nullptr};

Registry& registry() {
  static Registry* const only = new Registry();
  return *only;
}

// True if the address lies in a mapping of ours, which can be touched there now.
bool repair(Registry* registry, uintptr_t address) {
  const int used = registry->used.load(std::memory_order_acquire);
  for (int index = 0; index < used; index++) {
    Region& region = registry->regions[index];
    const uintptr_t begin = region.begin.load(std::memory_order_acquire);
    const uintptr_t end = region.end.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= end) continue;
    // Before the zeros, which others may read at once.
    region.damaged.store(true, std::memory_order_release);
    const uintptr_t page = address & ~(registry->page_bytes - 1);
    const int protection = region.writable.load(std::memory_order_relaxed) ? PROT_READ | PROT_WRITE : PROT_READ;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    return mmap(reinterpret_cast<void*>(page), end - page, protection, kFlags, -1, 0) != MAP_FAILED;
  }
  return false;
}

void onBusError(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  Registry* const registry = registry_of_handler.load(std::memory_order_acquire);
  // What a process sends has a code of 0 or less, and no address.
  const bool repaired = info->si_code > 0 && repair(registry, reinterpret_cast<uintptr_t>(info->si_addr));
  errno = error;
  if (repaired) return;
  const struct sigaction& before = registry->before;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler == SIG_IGN && info->si_code <= 0) {
    return;
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The default, which the instruction meets when it is tried again; what was sent is sent again.
    sigaction(SIGBUS, &before, nullptr);
    if (info->si_code <= 0) raise(signal);
  }
}

bool isOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == onBusError;
}

void install(Registry* registry) {
  assert(registry->count == 1);
  registry_of_handler.store(registry, std::memory_order_release);
  struct sigaction current = {};
  sigaction(SIGBUS, nullptr, &current);
  // Still there, because somebody put a handler of their own over it, and took that away again.
  if (isOurs(current)) return;
  registry->before = current;
  struct sigaction action = {};
  action.sa_sigaction = onBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

void uninstall(Registry* registry) {
  assert(registry->count == 0 && registry_of_handler.load(std::memory_order_relaxed) == registry);
  struct sigaction current = {};
  sigaction(SIGBUS, nullptr, &current);
  if (isOurs(current)) {
    sigaction(SIGBUS, &registry->before, nullptr);
    return;
  }
  // Somebody else's handler may call ours: it has to stay where it is, also when the host unloads the addon.
  Dl_info library = {};
  if (dladdr(reinterpret_cast<const void*>(&onBusError), &library) != 0 && library.dli_fname != nullptr) {
    dlopen(library.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
}

}  // namespace

int MappedRegions::enter(char* base, size_t length, bool writable) {
  assert(base != nullptr && length > 0);
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.count == kMappingsOfProcessMax) return -ENOMEM;
  int index = all.used.load(std::memory_order_relaxed);
  if (!all.free.empty()) {
    index = all.free.back();
    all.free.pop_back();
  }
  if (all.count++ == 0) install(&all);
  assert(index >= 0 && index < kMappingsOfProcessMax);
  assert(all.free.size() + static_cast<size_t>(all.count) <= static_cast<size_t>(kMappingsOfProcessMax));
  Region& region = all.regions[index];
  assert(region.begin.load(std::memory_order_relaxed) == 0);
  region.damaged.store(false, std::memory_order_relaxed);
  region.writable.store(writable, std::memory_order_relaxed);
  // To the end of the last page, all of which can be touched.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(base);
  assert(begin % all.page_bytes == 0);
  const uintptr_t end = (begin + length + all.page_bytes - 1) & ~(all.page_bytes - 1);
  assert(end >= begin + length && end % all.page_bytes == 0);
  region.end.store(end, std::memory_order_relaxed);
  region.begin.store(begin, std::memory_order_release);
  if (index == all.used.load(std::memory_order_relaxed)) all.used.store(index + 1, std::memory_order_release);
  return index;
}

void MappedRegions::leave(int region) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  assert(region >= 0 && region < kMappingsOfProcessMax && all.count > 0);
  assert(all.regions[region].begin.load(std::memory_order_relaxed) != 0);
  all.regions[region].begin.store(0, std::memory_order_release);
  all.free.push_back(region);
  if (--all.count == 0) uninstall(&all);
}

bool MappedRegions::damaged(int region) {
  assert(region >= 0 && region < kMappingsOfProcessMax);
  return registry().regions[region].damaged.load(std::memory_order_acquire);
}

}  // namespace scatterwire
