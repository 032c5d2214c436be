// Memory that is brought near before it is used, many lines at a time: a processor goes on meanwhile, where it would wait for loads.
//
// Always: nothing changes, and no byte is read: what a run says is only ever asked for. A run that is not in the memory is passed over,
// and of a long one its first words are asked for, so that a call is bounded whatever its runs say.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace scatterwire {

constexpr size_t kPrefetchWordsMax = 512;
constexpr size_t kLineWords = 16;

// `runs` has `count` pairs: a word's place among `length` words, and a number of words.
inline void prefetchRuns(const uint32_t* words, size_t length, const int32_t* runs, size_t count) {
  for (size_t run = 0; run < count; run++) {
    const int32_t place = runs[2 * run];
    const int32_t size = runs[2 * run + 1];
    if (place < 0 || size <= 0 || static_cast<size_t>(place) >= length) continue;
    const size_t first = static_cast<size_t>(place);
    const size_t last = first + std::min({static_cast<size_t>(size), kPrefetchWordsMax, length - first}) - 1;
    for (size_t at = first; at < last; at += kLineWords) __builtin_prefetch(words + at);
    __builtin_prefetch(words + last);
  }
  // A compiler may take a function that only asks for memory for one that does nothing, and leave its calls out (gcc 12 does).
  std::atomic_signal_fence(std::memory_order_acq_rel);
}

}  // namespace scatterwire
