// Digest jobs that wait, and the workers that run many of them at once, each in a lane.
//
//   add ──▶ waiting (first come, first served) ──▶ lanes of a worker ──▶ done ──▶ collect
//           the loop's thread                      our threads                    the loop's thread
//
// A worker fills its lanes with waiting tasks, advances all of them by as many blocks as lie together in each, and gives the
// lane of a task that has ended to the next that waits. So lanes fill whenever many digests have work, and nobody asks for it.
//
// How many workers: one as soon as anything waits. Another only if what waits, beyond what the lanes of the others have room
// for, fills half the lanes of one. Half-full lanes cost twice as much per byte, which is still no more than single streams
// cost; fewer tasks than that are better off waiting for a lane, which takes no longer than a task or two. Never more than
// the pool lets hash at one time. A worker that has worked for a while lets its lanes run dry and queues up again, when another
// engine's digests wait for a thread.
//
// A task feeds memory, or stretches of files. Those are read into memory of the thread's own, as much at a time as stays in the
// cache until it is hashed: a fifth more per byte than hashing a mapping, and no file that somebody cuts short, no disk that
// fails, is more than an error number. Files that are named by their paths are opened when their bytes are due and closed behind them, so
// that a hundred thousand small files cost the loop's thread nothing; where the page cache has not all of them, those that come next are
// opened ahead, as many as the task may hold, for the disk to have more than one to read.
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
#include "work/worker_pool.h"

namespace scatterwire {

// Bytes of a file.
struct FileStretch {
  int fd = -1;                 // open, if there is no path
  const char* path = nullptr;  // ends with a zero
  off_t offset = 0;
  size_t length = 0;
};

// Files that a task holds open at one time, at the most, if they are named by their paths.
constexpr size_t kPathsOpenMax = 4;

// Memory, or bytes of files, to be fed to a digest, and what to do before and after.
struct DigestTask {
  DigestTask* next = nullptr;
  void* job = nullptr;  // the caller's own
  Digest* digest = nullptr;
  const iovec* vectors = nullptr;
  size_t vector_count = 0;
  const FileStretch* stretches = nullptr;  // instead of vectors, if there are any
  size_t stretch_count = 0;
  size_t paths_open_max = 1;  // up to kPathsOpenMax
  bool start = false;
  bool finish = false;
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
  // `wake` is called with `owner` on a thread of the pool when tasks are done, and when a worker has ended. What it wakes must
  // stay until working() is false.
  DigestQueue(WorkQueue* work, void (*wake)(void*), void* owner);
  ~DigestQueue() { uv_mutex_destroy(&mutex_); }
  DigestQueue(const DigestQueue&) = delete;
  DigestQueue& operator=(const DigestQueue&) = delete;

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
  // Whether a worker is in the pool, or on its way to it.
  bool working() const;

 private:
  struct Worker : Work {
    DigestQueue* queue = nullptr;
    bool in_pool = false;
  };
  class Lanes;

  bool startWorker();
  bool wantsWorker() const;
  const CompressorChoice& choiceOf(DigestAlgorithm algorithm) const;
  // On a worker's thread. The algorithm of the first task that waits. False: the worker has ended, and no longer knows this queue.
  bool nextAlgorithm(Worker* worker, DigestAlgorithm* algorithm);
  static void run(Work* work, Scratch* scratch);

  WorkQueue* work_;
  void (*wake_)(void*);
  void* owner_;
  std::optional<CompressorChoice> forced_[2];
  std::vector<std::unique_ptr<Worker>> workers_;  // as many as may be active

  mutable uv_mutex_t mutex_;
  DigestTaskList waiting_;
  DigestTaskList done_;
  // Workers in the pool, their lanes that are in use, and how many each should fill.
  size_t workers_active_ = 0;
  size_t lanes_used_ = 0;
  size_t lanes_best_ = 1;
  bool measuring_ = false;
  double nanos_ = 0;
};

}  // namespace scatterwire
