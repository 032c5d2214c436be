// Jobs for libuv's thread pool: disk reads and writes, digests, copies. They come as words in a shared table and go as
// pairs (tag, result) in a shared list.
//
// Always: a job owns copies of all it needs but the memory it names; that memory stays as it is until the completion
// is taken. Jobs are kept for re-use, so that a running transfer allocates nothing here.
#pragma once

#include <uv.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "address_space.h"
#include "digest.h"

namespace scatterwire {

class FileJobs {
 public:
  // `on_completed` is called with `owner`, on the loop, for each job that ends.
  FileJobs(uv_loop_t* loop, std::shared_ptr<AddressSpace> space, void (*on_completed)(void*), void* owner);
  ~FileJobs();

  // Takes the jobs in `words`. How many, or kBadPlan (then none of them runs).
  double submit(const double* words, size_t count);
  int openDigest(DigestAlgorithm algorithm);
  bool closeDigest(int digest);

  // Submitted and not ended; ended and not taken.
  size_t running() const { return running_; }
  size_t completed() const { return completions_.size() / 2; }
  // Copies at most `capacity` pairs (tag, result) out.
  size_t take(double* pairs, size_t capacity);

 private:
  struct Job;
  Job* borrow();
  bool parse(const double* words, size_t count, size_t* used, Job* job);
  static void run(uv_work_t* work);
  static void finished(uv_work_t* work, int status);

  uv_loop_t* loop_;
  std::shared_ptr<AddressSpace> space_;
  void (*on_completed_)(void*);
  void* owner_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Job*> idle_;
  std::vector<Job*> parsed_;
  std::vector<std::shared_ptr<Digest>> digests_;
  std::deque<double> completions_;
  size_t running_ = 0;
};

}  // namespace scatterwire
