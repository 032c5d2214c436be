// Work for libuv's thread pool: reading, writing, digests, copies. Jobs come in a table and go back as pairs.
//
//   free ──submit──▶ running (in the pool) ──▶ completed ──deliver──▶ free
//
// Each job is one piece of work for the pool, except digests: those wait in a queue of their own, whose workers run many of
// them at once (digest_queue.h).
//
// Always: a table is taken as a whole or not at all. What a job names was checked when it was taken, and stays: the
// mappings it uses are held, its digest is its own until it is done. Job structures are re-used, with their memory.
#pragma once

#include <sys/uio.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cost_clocks.h"
#include "digest/digest_queue.h"
#include "memory/mappings.h"

namespace scatterwire {

class FileJobs {
 public:
  // `on_done` is called with `owner`, on the loop's thread, when a job has left the thread pool.
  FileJobs(uv_loop_t* loop, AddressSpace* space, CostClocks* costs, void (*on_done)(void*), void* owner)
      : loop_(loop),
        space_(space),
        costs_(costs),
        on_done_(on_done),
        owner_(owner),
        digest_queue_(loop, onDigestsDone, this) {}

  // Enters the loop, without keeping it alive; and leaves it: `on_closed` is called with a handle whose data is `data`.
  void open() { digest_queue_.open(); }
  void close(uv_close_cb on_closed, void* data) { digest_queue_.close(on_closed, data); }

  // Takes the jobs in `count` words (binding.ts has the layout). Null and the number of jobs, or what is wrong.
  const char* submit(const double* words, size_t count, size_t* jobs);
  bool completed() const { return completed_first_ != nullptr; }
  // Writes up to `capacity` pairs (tag, result); returns how many.
  size_t deliver(double* pairs, size_t capacity);
  // Keeps jobs from starting that have not started yet; they are done then, without a result.
  void cancel();
  // In the thread pool, or on the way to it; each worker for digests counts too.
  size_t running() const { return running_ + (digest_queue_.working() ? 1 : 0); }
  // Taken and not delivered.
  size_t pending() const { return pending_; }

  // Before the first job.
  void forceCompressor(const Compressor& compressor) { digest_queue_.force(compressor); }
  int openDigest(DigestAlgorithm algorithm);
  // 0, -EINVAL if there is no such digest, or -EBUSY if a job uses it.
  int closeDigest(int digest);
  void closeDigests() { digests_.clear(); }

 private:
  struct OpenDigest {
    std::unique_ptr<Digest> digest;
    bool busy = false;
  };
  struct Job {
    uv_work_t request = {};
    FileJobs* queue = nullptr;
    Job* next = nullptr;  // in the list of free, new or completed jobs
    bool running = false;
    int kind = 0;
    double tag = 0;
    int handle = 0;
    double offset = 0;
    double argument = 0;
    double result = 0;
    bool timed = false;
    double nanos = 0;  // of processor time, if timed
    char* target = nullptr;  // where copies and digests go
    Digest* digest = nullptr;
    DigestTask task;
    std::vector<iovec> vectors;
    std::vector<uint32_t> regions;  // mappings that are held
  };
  Job* obtain();
  void recycle(Job* job);
  const char* take(const double* words, size_t count, size_t* used, Job* job);
  const char* takeMemory(const double* pairs, size_t count, Job* job, double* bytes);
  const char* takeTarget(Job* job, double bytes);
  const char* takeDigest(Job* job);
  void hold(double address, Job* job);
  void release(Job* job);
  void start(Job* job);
  void startDigest(Job* job);
  void complete(Job* job);
  static void run(uv_work_t* request);
  static void runKind(Job* job);
  static double runWrite(Job* job);
  static double runCopy(Job* job);
  static void onDone(uv_work_t* request, int status);
  static void onDigestsDone(void* jobs);

  uv_loop_t* loop_;
  AddressSpace* space_;
  CostClocks* costs_;
  void (*on_done_)(void*);
  void* owner_;
  DigestQueue digest_queue_;
  // Writers of one file wait for each other in the kernel as well, but spinning: a fifth of their processor time and more.
  // Here they sleep. Files may share a lock.
  static constexpr size_t kWriteTurns = 16;
  std::mutex write_turns_[kWriteTurns];
  std::vector<OpenDigest> digests_;
  std::vector<std::unique_ptr<Job>> jobs_;  // all there are
  Job* free_ = nullptr;
  Job* completed_first_ = nullptr;
  Job* completed_last_ = nullptr;
  size_t running_ = 0;
  size_t pending_ = 0;
};

}  // namespace scatterwire
