// The threads that jobs run on: ours, a few per process, shared by all engines. libuv's own pool is left to the host, whose
// fs and dns calls would wait behind every hash and every write otherwise.
//
//   engine A   files ▷▷▷▷   hashing ▷ ──┐
//   engine B   files ▷▷     hashing ▷ ──┼──▶ up to 4 threads in file calls, and beside them up to as many that hash as there
//   engine C                hashing ▷ ──┘    are processors (4 at most): a slow disk stops no hashing, nor hashing a disk
//
// Engines take turns, piece of work by piece of work, so that one with much to do does not hold up another. Threads are made when
// there is work for them, sleep when there is none, and end with the last engine of the process.
//
// Always: `mutex_` guards everything. Work belongs to its queue until it is taken, and to its own `run` from then on: the pool
// touches neither work nor queue once `run` was called. No thread of ours is left when the last engine has gone, because the host
// may unload the addon then.
#pragma once

#include <uv.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace scatterwire {

// Memory of a thread that stays in its processor's cache from one piece of work to the next.
class Scratch {
 public:
  // At least `bytes`, aligned to pages; null if there is no memory.
  char* obtain(size_t bytes);
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// One piece of work. `run` is called once, on a thread of the pool, and may end the life of the work.
struct Work {
  Work* next = nullptr;
  void (*run)(Work*, Scratch*) = nullptr;
};

enum class WorkKind { kFile, kHash };
constexpr size_t kWorkKinds = 2;

// What one engine has for the pool and no thread has taken: first in, first out, for each kind. The pool alone touches it.
class WorkQueue {
 public:
  WorkQueue() = default;
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

 private:
  friend class WorkerPool;
  struct Line {
    Work* first = nullptr;
    Work* last = nullptr;
    Line* next = nullptr;  // the line that has its turn after this one
    bool has_turn = false;
  };
  Line lines_[kWorkKinds];
};

class WorkerPool {
 public:
  // The one of this process. It is never destroyed: threads may be at work while the process exits.
  static WorkerPool& ofProcess();
  // How many threads hash at the same time.
  static size_t hashingMax();
  // How many threads are in file calls at the same time.
  static size_t fileCallsMax();

  // An engine comes, and goes with all of its work done or withdrawn. The last one waits for the threads, which have nothing
  // to do any more.
  void enter();
  void leave(WorkQueue* queue);

  // Takes a list of work, linked by `next`. Where no thread can be had at all it is run at once, by the caller.
  void add(WorkQueue* queue, WorkKind kind, Work* first);
  // Takes back what no thread has taken: a list, or null.
  Work* withdraw(WorkQueue* queue, WorkKind kind);
  // Whether work of a kind waits for a thread. A hint: it may have changed already.
  bool waiting(WorkKind kind) const { return lines_waiting_[index(kind)].load(std::memory_order_relaxed) > 0; }

 private:
  using Line = WorkQueue::Line;
  struct Turns {
    Line* first = nullptr;
    Line* last = nullptr;
  };
  WorkerPool();
  static size_t index(WorkKind kind) { return static_cast<size_t>(kind); }
  static void threadMain(void* pool);
  void work();
  Work* take(size_t* kind);
  void append(size_t kind, Line* line);
  void wakeIfUseful();
  bool takeable() const;
  static size_t maxOf(size_t kind);
  void startThread();

  uv_mutex_t mutex_;
  uv_cond_t wake_;
  uv_cond_t ended_;          // threads that were told to end have ended
  Turns turns_[kWorkKinds];  // lines with work, in the order of their turns
  std::atomic<size_t> lines_waiting_[kWorkKinds] = {};
  size_t busy_[kWorkKinds] = {};
  size_t idle_ = 0;     // threads that sleep and nobody has woken
  size_t wakeups_ = 0;  // threads that were woken and do not run yet
  size_t engines_ = 0;
  bool ending_ = false;
  std::vector<uv_thread_t> threads_;
};

}  // namespace scatterwire
