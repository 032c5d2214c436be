// See mapped_reads.h.
#include "files/mapped_reads.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace scatterwire {

namespace {

#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22  // since Linux 5.14; older ones answer EINVAL
#endif

uintptr_t pageMask() {
  static const uintptr_t mask = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1;
  return mask;
}

uintptr_t pageBefore(const char* at) { return reinterpret_cast<uintptr_t>(at) & ~pageMask(); }
uintptr_t pageAfter(const char* at) { return (reinterpret_cast<uintptr_t>(at) + pageMask()) & ~pageMask(); }

int advise(uintptr_t begin, uintptr_t end, int advice) {
  return madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

void announceMapped(const char* begin, size_t length) {
#ifdef __linux__
  // Announcing looks at every page, which is wasted on what is cached. A few pages tell whether that is so.
  constexpr size_t kSamples = 4;
  // Less than this is fetched in one go anyway.
  constexpr size_t kWorthwhileBytes = size_t{64} << 10;
  if (length <= kWorthwhileBytes) return;
  for (size_t sample = 0; sample < kSamples; sample++) {
    const uintptr_t page = pageBefore(begin + length * (2 * sample + 1) / (2 * kSamples));
    unsigned char resident = 0;
    if (mincore(reinterpret_cast<void*>(page), 1, &resident) == 0 && (resident & 1) != 0) continue;
    advise(pageBefore(begin), pageAfter(begin + length), MADV_WILLNEED);
    return;
  }
#else
  advise(pageBefore(begin), pageAfter(begin + length), MADV_WILLNEED);
#endif
}

int fetchMapped(const char* begin, size_t length) {
#ifdef MADV_POPULATE_READ
  while (advise(pageBefore(begin), pageAfter(begin + length), MADV_POPULATE_READ) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    // The system does not know the advice.
    if (errno == EINVAL) return -ENOTSUP;
    // It says EFAULT for what would have been a SIGBUS.
    return errno == EFAULT ? -EIO : -errno;
  }
  return 0;
#else
  static_cast<void>(begin);
  static_cast<void>(length);
  return -ENOTSUP;
#endif
}

void SpentReads::add(const char* begin, size_t length) {
  if (length == 0) return;
  if (count_ == kStretchesMax || bytes_ + length > kBytesMax) letGo();
  stretches_[count_++] = {begin, begin + length};
  bytes_ += length;
}

void SpentReads::letGo() {
  std::sort(stretches_, stretches_ + count_, [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  for (size_t index = 0; index < count_;) {
    const char* const begin = stretches_[index].begin;
    const char* end = begin;
    for (; index < count_ && (end == begin || stretches_[index].begin <= end); index++) {
      end = std::max(end, stretches_[index].end);
    }
    if (pageAfter(begin) < pageBefore(end)) advise(pageAfter(begin), pageBefore(end), MADV_DONTNEED);
  }
  count_ = 0;
  bytes_ = 0;
}

}  // namespace scatterwire
