// Work for our threads: reading, writing, digests, copies. Jobs come in a table and go back as pairs.
//
//   free ──submit──▶ running (in the pool) ──▶ completed ──deliver──▶ free
//
// Each job is one piece of work for the pool, except digests: those wait in a queue of their own, whose workers run many of
// them at once (digest_queue.h). Writes that are to run one after the other wait here for their turn, and hold no thread.
//
// Always: a table is taken as a whole or not at all. What a job names was checked when it was taken, and stays: the
// mappings it uses are held, its digest is its own until it is done. Job structures are re-used, with their memory. The loop
// stays alive while jobs run, and these objects stay until none does.
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

// JobKind, WRITE_IN_TURN, DIGEST_START, DIGEST_FINISH and JOB_HEADER_WORDS of binding.ts, which compares them when it loads.
enum JobKind {
  kWrite = 0,
  kRead = 1,
  kDigest = 2,
  kAllocate = 3,
  kSync = 4,
  kCopy = 5,
  kDigestFiles = 6,
  kDigestPaths = 7,
  kKinds = 8
};
constexpr double kWriteInTurn = 1;
constexpr int kDigestStart = 1;
constexpr int kDigestFinish = 2;
// Times the files that a job of kDigestPaths may hold open at one time: DIGEST_OPEN_FILES.
constexpr int kDigestOpenFiles = 4;
constexpr size_t kJobHeaderWords = 6;

class FileJobs {
 public:
  // `on_done` is called with `owner`, on the loop's thread, when jobs are done.
  FileJobs(uv_loop_t* loop, AddressSpace* space, CostClocks* costs, void (*on_done)(void*), void* owner)
      : loop_(loop),
        space_(space),
        costs_(costs),
        on_done_(on_done),
        owner_(owner),
        digest_queue_(&work_, wake, this) {}

  // Enters the loop and the pool, without keeping the loop alive; and leaves them, when nothing runs any more: `on_closed` is
  // called with a handle whose data is `data`.
  void open();
  void close(uv_close_cb on_closed, void* data);

  // Takes the jobs in `count` words (binding.ts has the layout). Null and the number of jobs, or what is wrong.
  const char* submit(const double* words, size_t count, size_t* jobs);
  bool completed() const { return completed_first_ != nullptr; }
  // Writes up to `capacity` pairs (tag, result); returns how many.
  size_t deliver(double* pairs, size_t capacity);
  // Keeps jobs from starting that have not started yet; they are done then, without a result.
  void cancel();
  // With our threads, or on the way to them; workers for digests count too.
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
  struct Job : Work {
    FileJobs* queue = nullptr;
    Job* next_job = nullptr;  // in the list of free, new, waiting or completed jobs
    int kind = 0;
    double tag = 0;
    int handle = 0;
    double offset = 0;
    double argument = 0;
    double result = 0;
    bool timed = false;
    double nanos = 0;        // of processor time, if timed
    char* target = nullptr;  // where copies and digests go
    Digest* digest = nullptr;
    DigestTask task;
    std::vector<iovec> vectors;
    std::vector<FileStretch> stretches;
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
  const char* takeStretches(const double* pairs, size_t count, Job* job);
  const char* takePaths(const double* pairs, size_t count, Job* job);
  bool startsNow(Job* job);
  void startDigest(Job* job);
  void complete(Job* job);
  // On a thread of the pool.
  static void run(Work* work, Scratch* scratch);
  static void runKind(Job* job);
  static double runCopy(Job* job);
  void handBack(Job* job);
  static void wake(void* jobs);
  // On the loop's thread.
  static void onWake(uv_async_t* handle);
  Job* takeDone();

  uv_loop_t* loop_;
  AddressSpace* space_;
  CostClocks* costs_;
  void (*on_done_)(void*);
  void* owner_;
  uv_async_t wake_ = {};
  WorkQueue work_;
  DigestQueue digest_queue_;
  // Writers of one file wait for each other in the kernel as well, but spinning: a fifth of their processor time and more.
  // Here one runs and the others are in a list. Files may share a turn.
  struct WriteTurn {
    bool taken = false;
    Job* first = nullptr;
    Job* last = nullptr;
  };
  static constexpr size_t kWriteTurns = 16;
  // Guards the two that follow, which our threads use too.
  std::mutex mutex_;
  WriteTurn write_turns_[kWriteTurns];
  Job* done_ = nullptr;  // the last one first
  std::vector<OpenDigest> digests_;
  std::vector<std::unique_ptr<Job>> jobs_;  // all there are
  Job* free_ = nullptr;
  Job* completed_first_ = nullptr;
  Job* completed_last_ = nullptr;
  size_t running_ = 0;
  bool canceled_ = false;
  size_t pending_ = 0;
};

}  // namespace scatterwire
