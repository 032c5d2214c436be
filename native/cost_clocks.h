// What the parts of a transfer cost, in nanoseconds: receiving, sending, copying, hashing, file reads and writes. Off unless
// somebody measures, because a look at a clock costs more than some of what it would time.
//
// Always: the sums are written on the loop's thread only. Calls of the loop's thread do not wait, so that the time they take
// is the time they cost, and a clock that needs no system call times them; jobs of the thread pool wait for disks, so that
// theirs is the processor time of their thread.
#pragma once

#include <time.h>

namespace scatterwire {

// The order of COST_NAMES in src/metrics/costs.ts.
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
  void turn(bool on) { on_ = on; }
  void add(Cost cost, double nanos) { sums_[cost] += nanos; }

  // Answers what `call` does, and adds the time it took.
  template <typename Call>
  auto time(Cost cost, Call call) {
    if (!on_) return call();
    const double begin = clockNanos(CLOCK_MONOTONIC);
    const auto result = call();
    add(cost, clockNanos(CLOCK_MONOTONIC) - begin);
    return result;
  }

 private:
  double* sums_;
  bool on_ = false;
};

}  // namespace scatterwire
