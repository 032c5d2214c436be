// What the parts of a transfer cost, in nanoseconds: receiving, sending, copying, hashing, file reads and writes. Off unless
// somebody measures, because a look at a clock costs more than some of what it would time.
//
// Processor time of the thread, which does not count what other programs took meanwhile, nor the waiting of a job for a disk.
// Its clock is a system call, a fifth of a microsecond each, so what the clock itself takes is measured and taken off.
//
// Always: the sums are written on the loop's thread only.
#pragma once

#include <time.h>

#include <algorithm>

namespace scatterwire {

// The order of COST_NAMES in src/base/metrics/costs.ts.
enum Cost { kCostReceive, kCostSend, kCostCopy, kCostDigest, kCostWrite, kCostRead, kCosts };

inline double clockNanos(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

class CostClocks {
 public:
  // `sums`: kCosts numbers, shared with JavaScript.
  explicit CostClocks(double* sums) : sums_(sums) {}
  bool on() const { return on_; }
  void turn(bool on) {
    if (on && !on_) own_nanos_ = measureClock();
    on_ = on;
  }
  void add(Cost cost, double nanos) { sums_[cost] += nanos; }

  // Answers what `call` does, and adds what it cost.
  template <typename Call>
  auto time(Cost cost, Call call) {
    if (!on_) return call();
    const double begin = clockNanos(CLOCK_THREAD_CPUTIME_ID);
    const auto result = call();
    add(cost, std::max(0.0, clockNanos(CLOCK_THREAD_CPUTIME_ID) - begin - own_nanos_));
    return result;
  }

 private:
  // Between two looks at the clock, one after the other: the shortest of some, since interruptions only ever lengthen it.
  static double measureClock() {
    constexpr int kLooks = 100;
    double shortest = 1e9;
    for (int look = 0; look < kLooks; look++) {
      const double begin = clockNanos(CLOCK_THREAD_CPUTIME_ID);
      shortest = std::min(shortest, clockNanos(CLOCK_THREAD_CPUTIME_ID) - begin);
    }
    return shortest;
  }

  double* sums_;
  bool on_ = false;
  double own_nanos_ = 0;
};

}  // namespace scatterwire
