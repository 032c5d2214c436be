// Digest jobs that wait, and the workers that run many of them at once, each in a lane.
//
//   add ──▶ waiting (first come, first served) ──▶ lanes of a worker ──▶ done ──▶ collect
//           the loop's thread                      the thread pool                the loop's thread
//
// A worker fills its lanes with waiting tasks, advances all of them by as many blocks as lie together in each, and gives the
// lane of a task that has ended to the next that waits. So lanes fill whenever many digests have work, and nobody asks for it.
//
// How many workers: one as soon as anything waits. Another only if what waits, beyond what the lanes of the others have room
// for, fills half the lanes of one. Half-full lanes cost twice as much per byte, which is still no more than single streams
// cost; fewer tasks than that are better off waiting for a lane, which takes no longer than a task or two. Never more than
// there are processors, and one thread of the pool is left to those who write and read.
//
// Always: `mutex_` guards what both sides touch. A task is in one place at a time. A digest has one task at a time, which the
// caller sees to.
#pragma once

#include <sys/uio.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "digest/digest.h"

namespace scatterwire {

// Memory to be fed to a digest, and what to do before and after.
struct DigestTask {
  DigestTask* next = nullptr;
  void* job = nullptr;  // the caller's own
  Digest* digest = nullptr;
  const iovec* vectors = nullptr;
  size_t vector_count = 0;
  bool start = false;
  bool finish = false;
  bool once = false;  // the memory is that of mapped files, and nobody else wants it now: see mapped_reads.h
  unsigned char* output = nullptr;  // where the digest goes when it is finished
  double result = 0;                // bytes fed, or a negative errno
};

// First in, first out.
struct DigestTaskList {
  DigestTask* first = nullptr;
  DigestTask* last = nullptr;
  size_t count = 0;
  void push(DigestTask* task);
  DigestTask* pop();
};

class DigestQueue {
 public:
  // `on_done` is called with `owner` on the loop's thread when tasks may be done, and when a worker has ended.
  DigestQueue(uv_loop_t* loop, void (*on_done)(void*), void* owner);
  ~DigestQueue() { uv_mutex_destroy(&mutex_); }
  DigestQueue(const DigestQueue&) = delete;
  DigestQueue& operator=(const DigestQueue&) = delete;

  // Enters the loop, without keeping it alive; and leaves it: `on_closed` is called with a handle whose data is `data`.
  void open();
  void close(uv_close_cb on_closed, void* data);

  // Uses one compressor for all, instead of the cheapest. Before the first task.
  void force(const Compressor& compressor);
  // Whether the processor time of workers is measured.
  void measure(bool on);

  void add(DigestTask* task);
  // Starts workers for what was added.
  void start();
  // The next of those that are done, or null.
  DigestTask* collect();
  // Takes back the next of those that wait, or null.
  DigestTask* withdraw();
  // Processor time of workers since the last call, in nanoseconds.
  double takeNanos();
  // Whether a worker is in the thread pool.
  bool working() const { return workers_in_pool_ > 0; }

 private:
  struct Worker {
    uv_work_t request = {};
    DigestQueue* queue = nullptr;
    bool in_pool = false;
  };
  class Lanes;

  bool startWorker();
  bool wantsWorker() const;
  const CompressorChoice& choiceOf(DigestAlgorithm algorithm) const;
  // On a worker's thread. The algorithm of the first task that waits; without one, the worker has ended.
  bool nextAlgorithm(DigestAlgorithm* algorithm);
  static void run(uv_work_t* request);
  static void onEnd(uv_work_t* request, int status);

  uv_loop_t* loop_;
  void (*on_done_)(void*);
  void* owner_;
  uv_async_t wake_ = {};
  std::optional<CompressorChoice> forced_[2];
  // The loop's thread only.
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t workers_in_pool_ = 0;
  size_t workers_max_;

  uv_mutex_t mutex_;
  DigestTaskList waiting_;
  DigestTaskList done_;
  // Workers that will look at the list again, their lanes that are in use, and how many each should fill.
  size_t workers_active_ = 0;
  size_t lanes_used_ = 0;
  size_t lanes_best_ = 1;
  bool open_ = false;
  bool measuring_ = false;
  double nanos_ = 0;
};

}  // namespace scatterwire
