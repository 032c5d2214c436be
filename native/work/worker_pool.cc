// See worker_pool.h.
#include "work/worker_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace scatterwire {

namespace {

// A disk answers several calls at one time sooner than one after the other; more of them gain nothing.
constexpr size_t kFileCallsDefault = 4;
constexpr int kFileCallsMost = 64;
constexpr size_t kHashingMax = 4;
// The lanes of one worker are a few KiB, and system calls need little.
constexpr size_t kStackBytes = size_t{512} << 10;

class Lock {
 public:
  explicit Lock(uv_mutex_t* mutex) : mutex_(mutex) { uv_mutex_lock(mutex_); }
  ~Lock() { uv_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  uv_mutex_t* mutex_;
};

}  // namespace

char* Scratch::obtain(size_t bytes) {
  assert(bytes > 0 && (data_ == nullptr) == (size_ == 0));
  if (bytes <= size_) return data_;
  if (data_ != nullptr) munmap(data_, size_);
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  data_ = data == MAP_FAILED ? nullptr : static_cast<char*>(data);
  size_ = data == MAP_FAILED ? 0 : bytes;
  return data_;
}

Scratch::~Scratch() {
  if (data_ != nullptr) munmap(data_, size_);
}

WorkerPool& WorkerPool::ofProcess() {
  static WorkerPool* const pool = new WorkerPool();
  return *pool;
}

size_t WorkerPool::hashingMax() {
  static const size_t processors = static_cast<size_t>(uv_available_parallelism());
  return std::min(processors, kHashingMax);
}

// SCATTERWIRE_FILE_CALLS is for measurements.
size_t WorkerPool::fileCallsMax() {
  static const size_t calls = [] {
    const char* const asked = getenv("SCATTERWIRE_FILE_CALLS");
    const int count = asked == nullptr ? 0 : atoi(asked);
    return count >= 1 && count <= kFileCallsMost ? static_cast<size_t>(count) : kFileCallsDefault;
  }();
  return calls;
}

WorkerPool::WorkerPool() {
  uv_mutex_init(&mutex_);
  uv_cond_init(&wake_);
  uv_cond_init(&ended_);
}

void WorkerPool::enter() {
  Lock lock(&mutex_);
  // Threads that are told to end must not be taken for some that will serve the newcomer.
  while (ending_) uv_cond_wait(&ended_, &mutex_);
  engines_++;
}

void WorkerPool::leave(WorkQueue* queue) {
  std::vector<uv_thread_t> threads;
  {
    Lock lock(&mutex_);
    for (size_t kind = 0; kind < kWorkKinds; kind++) {
      Line* const gone = &queue->lines_[kind];
      assert(gone->first == nullptr);
      if (!gone->has_turn) continue;
      Turns turns;
      std::swap(turns, turns_[kind]);
      lines_waiting_[kind] = 0;
      for (Line* line = turns.first; line != nullptr;) {
        Line* const next = line->next;
        line->has_turn = false;
        if (line != gone) append(kind, line);
        line = next;
      }
    }
    assert(engines_ > 0);
    if (--engines_ > 0) return;
    assert(!ending_ && turns_[0].first == nullptr && turns_[1].first == nullptr);
    ending_ = true;
    threads.swap(threads_);
    uv_cond_broadcast(&wake_);
  }
  for (uv_thread_t& thread : threads) uv_thread_join(&thread);
  Lock lock(&mutex_);
  assert(idle_ == 0 && wakeups_ == 0 && busy_[0] == 0 && busy_[1] == 0);
  ending_ = false;
  uv_cond_broadcast(&ended_);
}

void WorkerPool::append(size_t kind, Line* line) {
  if (line->has_turn) return;
  line->has_turn = true;
  line->next = nullptr;
  Turns& turns = turns_[kind];
  assert((turns.first == nullptr) == (lines_waiting_[kind] == 0));
  (turns.first == nullptr ? turns.first : turns.last->next) = line;
  turns.last = line;
  lines_waiting_[kind]++;
}

void WorkerPool::add(WorkQueue* queue, WorkKind kind, Work* first) {
  Work* unserved = nullptr;
  {
    Lock lock(&mutex_);
    Line& line = queue->lines_[index(kind)];
    for (Work* work = first; work != nullptr;) {
      Work* const next = work->next;
      work->next = nullptr;
      (line.first == nullptr ? line.first : line.last->next) = work;
      line.last = work;
      work = next;
    }
    append(index(kind), &line);
    wakeIfUseful();
    if (threads_.empty()) {
      unserved = line.first;
      line.first = nullptr;
    }
  }
  if (unserved == nullptr) return;
  Scratch scratch;
  while (unserved != nullptr) {
    Work* const work = unserved;
    unserved = work->next;
    work->run(work, &scratch);
  }
}

Work* WorkerPool::withdraw(WorkQueue* queue, WorkKind kind) {
  Lock lock(&mutex_);
  // Its turn may come all the same, and finds nothing.
  Line& line = queue->lines_[index(kind)];
  Work* const first = line.first;
  line.first = nullptr;
  return first;
}

// One thread more, if there is work that it may take. It wakes the next one in turn, when it has taken something: so there are
// never more of them awake than have work, and nobody waits while one could be.
void WorkerPool::wakeIfUseful() {
  assert(idle_ + wakeups_ + busy_[0] + busy_[1] <= threads_.size());
  if (wakeups_ > 0 || !takeable()) return;
  if (idle_ > 0) {
    idle_--;
    wakeups_++;
    uv_cond_signal(&wake_);
  } else if (threads_.size() < fileCallsMax() + hashingMax()) {
    startThread();
  }
}

bool WorkerPool::takeable() const {
  return (turns_[0].first != nullptr && busy_[0] < maxOf(0)) || (turns_[1].first != nullptr && busy_[1] < maxOf(1));
}

size_t WorkerPool::maxOf(size_t kind) { return kind == index(WorkKind::kFile) ? fileCallsMax() : hashingMax(); }

void WorkerPool::startThread() {
  uv_thread_options_t options = {};
  options.flags = UV_THREAD_HAS_STACK_SIZE;
  options.stack_size = kStackBytes;
  // The host's signals are for the host's threads; those that a thread raises itself cannot be put off.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, own);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  uv_thread_t thread;
  const bool started = uv_thread_create_ex(&thread, &options, threadMain, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (started) threads_.push_back(thread);
}

void WorkerPool::threadMain(void* pool) {
#ifdef __linux__
  pthread_setname_np(pthread_self(), "scatterwire");
#endif
  static_cast<WorkerPool*>(pool)->work();
}

void WorkerPool::work() {
  Scratch scratch;
  Lock lock(&mutex_);
  for (;;) {
    size_t kind = 0;
    Work* const work = take(&kind);
    if (work != nullptr) {
      busy_[kind]++;
      assert(busy_[kind] <= maxOf(kind) && work->run != nullptr);
      wakeIfUseful();
      uv_mutex_unlock(&mutex_);
      work->run(work, &scratch);
      uv_mutex_lock(&mutex_);
      assert(busy_[kind] > 0);
      busy_[kind]--;
      continue;
    }
    if (ending_) return;
    idle_++;
    while (wakeups_ == 0 && !ending_) uv_cond_wait(&wake_, &mutex_);
    // Whoever wakes a thread counts it as idle no longer; at the end nobody does.
    if (wakeups_ > 0) {
      wakeups_--;
    } else {
      assert(idle_ > 0);
      idle_--;
    }
  }
}

// The next piece of work that may run now. Files first: their calls leave the processor to others soon.
Work* WorkerPool::take(size_t* kind) {
  for (*kind = 0; *kind < kWorkKinds; ++*kind) {
    Turns& turns = turns_[*kind];
    while (busy_[*kind] < maxOf(*kind) && turns.first != nullptr) {
      Line* const line = turns.first;
      turns.first = line->next;
      line->has_turn = false;
      assert(lines_waiting_[*kind] > 0);
      lines_waiting_[*kind]--;
      Work* const work = line->first;
      if (work == nullptr) continue;
      line->first = work->next;
      if (line->first != nullptr) append(*kind, line);
      return work;
    }
  }
  return nullptr;
}

}  // namespace scatterwire
