// See digest_queue.h. Lanes is what one worker has in hand; it alone runs outside the lock.
#include "digest/digest_queue.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>

#include "cost_clocks.h"
#include "files/mapped_reads.h"

namespace scatterwire {

namespace {

// Blocks that lanes are advanced by at most before the worker looks for tasks again: 16 KiB of each.
constexpr size_t kStepBlocksMax = 256;
// The same for one stream in memory that nobody has touched yet: a page, so that the next can come meanwhile.
constexpr size_t kStepBlocksAlone = 64;
constexpr int kPoolThreadsDefault = 4;
// Mapped memory that a lane fetches at one time.
constexpr size_t kWindowBytes = size_t{1} << 20;
constexpr size_t kPageBytesMax = size_t{64} << 10;

class Lock {
 public:
  explicit Lock(uv_mutex_t* mutex) : mutex_(mutex) { uv_mutex_lock(mutex_); }
  ~Lock() { uv_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  uv_mutex_t* mutex_;
};

size_t workersMax() {
  const char* size = getenv("UV_THREADPOOL_SIZE");
  const int threads = size != nullptr ? atoi(size) : kPoolThreadsDefault;
  const int processors = static_cast<int>(uv_available_parallelism());
  return static_cast<size_t>(std::max(1, std::min(processors, threads - 1)));
}

size_t lanesOfWidest() {
  const Compressor* found[kCompressorsMax];
  size_t lanes = 1;
  const size_t count = findCompressors(found, kCompressorsMax);
  for (size_t index = 0; index < count; index++) lanes = std::max(lanes, found[index]->lanes);
  return lanes;
}

}  // namespace

void DigestTaskList::push(DigestTask* task) {
  task->next = nullptr;
  (first == nullptr ? first : last->next) = task;
  last = task;
  count++;
}

DigestTask* DigestTaskList::pop() {
  DigestTask* task = first;
  if (task == nullptr) return nullptr;
  first = task->next;
  count--;
  return task;
}

// The tasks of one worker, all of one algorithm. Lane and stream of the same index belong together; those in use come first.
class DigestQueue::Lanes {
 public:
  explicit Lanes(DigestQueue* queue) : queue_(queue) {}

  void run() {
    DigestAlgorithm algorithm;
    while (queue_->nextAlgorithm(&algorithm)) {
      choice_ = &queue_->choiceOf(algorithm);
      do {
        fill(algorithm);
        step();
      } while (count_ > 0 || done_.count > 0);
    }
  }

 private:
  struct Lane {
    DigestTask* task = nullptr;
    size_t vector = 0;
    size_t offset = 0;   // in the vector
    size_t fetched = 0;  // bytes of the vector that may be touched, from its start on; those before `offset` are let go
    size_t blocks = 0;   // whole blocks from `offset` on, in what is fetched
  };

  void fill(DigestAlgorithm algorithm) {
    const size_t room = choice_->lanesBest() - count_;
    if (room == 0 && done_.count == 0) return;
    DigestTask* tasks[kLanesMax];
    const size_t taken = exchange(algorithm, tasks, room);
    // All of them before the first is waited for.
    for (size_t index = 0; index < taken; index++) announce(*tasks[index]);
    for (size_t index = 0; index < taken; index++) begin(tasks[index]);
  }

  static void announce(const DigestTask& task) {
    for (size_t vector = 0; task.once && vector < task.vector_count; vector++) {
      announceMapped(static_cast<const char*>(task.vectors[vector].iov_base), task.vectors[vector].iov_len);
    }
  }

  // Hands over what is done, and takes up to `room` tasks.
  size_t exchange(DigestAlgorithm algorithm, DigestTask** tasks, size_t room) {
    // Once a task is handed over, its mapping may go.
    if (done_.count > 0) spent_.letGo();
    Lock lock(&queue_->mutex_);
    DigestTaskList& waiting = queue_->waiting_;
    if (done_.count > 0 && queue_->open_) uv_async_send(&queue_->wake_);
    queue_->lanes_used_ -= done_.count;
    while (DigestTask* task = done_.pop()) queue_->done_.push(task);
    size_t taken = 0;
    // A task of the other algorithm at the head is not overtaken: its turn comes when these lanes have run dry.
    while (taken < room && waiting.first != nullptr && waiting.first->digest->algorithm() == algorithm) {
      tasks[taken++] = waiting.pop();
    }
    queue_->lanes_used_ += taken;
    queue_->lanes_best_ = choice_->lanesBest();
    addTime();
    return taken;
  }

  // The processor time since the last call, or none at the first.
  void addTime() {
    const double before = clock_;
    clock_ = queue_->measuring_ ? clockNanos(CLOCK_THREAD_CPUTIME_ID) : 0;
    if (before > 0 && clock_ > 0) queue_->nanos_ += clock_ - before;
  }

  void begin(DigestTask* task) {
    task->result = 0;
    if (task->start) {
      task->digest->start();
    } else if (!task->digest->started()) {
      task->result = -EINVAL;
      done_.push(task);
      return;
    }
    lanes_[count_] = {};
    lanes_[count_].task = task;
    if (findBlocks(count_)) {
      count_++;
    } else {
      done_.push(task);
    }
  }

  // Goes on to where whole blocks are, and feeds what is less on the way. False: the task has ended.
  bool findBlocks(size_t index) {
    Lane& lane = lanes_[index];
    DigestTask& task = *lane.task;
    for (; lane.vector < task.vector_count; lane.vector++, lane.offset = 0, lane.fetched = 0) {
      const iovec& vector = task.vectors[lane.vector];
      while (lane.offset < vector.iov_len) {
        if (!fetch(&lane, vector)) return false;
        const unsigned char* data = static_cast<const unsigned char*>(vector.iov_base) + lane.offset;
        const size_t left = lane.fetched - lane.offset;
        const size_t taken = task.digest->take(data, left, *choice_);
        if (taken == 0) {
          streams_[index] = {task.digest->state(), data};
          lane.blocks = left / kHashBlockBytes;
          return true;
        }
        lane.offset += taken;
        task.result += static_cast<double>(taken);
      }
      if (task.once) letGo(vector, lane.fetched);
    }
    if (task.finish) task.digest->finish(task.output, *choice_);
    return false;
  }

  // Sees to it that there are bytes to touch at the lane's offset, which lies in the vector. False: they cannot be read, and the
  // task has ended.
  bool fetch(Lane* lane, const iovec& vector) {
    if (lane->offset < lane->fetched) return true;
    if (!lane->task->once) {
      lane->fetched = vector.iov_len;
      return true;
    }
    const char* base = static_cast<const char*>(vector.iov_base);
    letGo(vector, lane->fetched);
    const size_t length = std::min(kWindowBytes, vector.iov_len - lane->fetched);
    const int result = fetchMapped(base + lane->fetched, length);
    if (result < 0) {
      lane->task->result = result;
      return false;
    }
    lane->fetched += length;
    return true;
  }

  // The last window before `fetched`, and what of its first page lies before it.
  void letGo(const iovec& vector, size_t fetched) {
    const size_t begin = fetched == 0 ? 0 : (fetched - 1) / kWindowBytes * kWindowBytes;
    const size_t from = begin - std::min(begin, kPageBytesMax);
    spent_.add(static_cast<const char*>(vector.iov_base) + from, fetched - from);
  }

  void step() {
    if (count_ == 0) return;
    // Several streams hide from each other that memory is slow, and prefetching would only compete with them: with 16 lanes it
    // costs half as much again. A lone stream gains a quarter from it.
    const bool alone = count_ == 1 && lanes_[0].task->once;
    size_t blocks = alone ? kStepBlocksAlone : kStepBlocksMax;
    for (size_t index = 0; index < count_; index++) blocks = std::min(blocks, lanes_[index].blocks);
    if (alone) prefetch(streams_[0].data, lanes_[0].blocks - blocks);
    choice_->advance(streams_, count_, blocks);
    const size_t bytes = kHashBlockBytes * blocks;
    for (size_t index = count_; index > 0; index--) {
      Lane& lane = lanes_[index - 1];
      lane.task->result += static_cast<double>(bytes);
      lane.task->digest->fed(bytes);
      lane.offset += bytes;
      lane.blocks -= blocks;
      if (lane.blocks == 0 && !findBlocks(index - 1)) remove(index - 1);
    }
  }

  // Brings what comes after the next step into the cache meanwhile. The processor does so by itself within a page only.
  static void prefetch(const unsigned char* data, size_t blocks_after) {
    const unsigned char* next = data + kHashBlockBytes * kStepBlocksAlone;
    const size_t blocks = std::min(blocks_after, kStepBlocksAlone);
    for (size_t block = 0; block < blocks; block++) __builtin_prefetch(next + kHashBlockBytes * block);
  }

  void remove(size_t index) {
    done_.push(lanes_[index].task);
    count_--;
    lanes_[index] = lanes_[count_];
    streams_[index] = streams_[count_];
  }

  DigestQueue* queue_;
  const CompressorChoice* choice_ = nullptr;
  size_t count_ = 0;
  Lane lanes_[kLanesMax];
  Stream streams_[kLanesMax];
  DigestTaskList done_;
  SpentReads spent_;
  double clock_ = 0;
};

DigestQueue::DigestQueue(uv_loop_t* loop, void (*on_done)(void*), void* owner)
    : loop_(loop), on_done_(on_done), owner_(owner), workers_max_(workersMax()), lanes_best_(lanesOfWidest()) {
  uv_mutex_init(&mutex_);
}

void DigestQueue::open() {
  uv_async_init(loop_, &wake_, [](uv_async_t* wake) {
    const DigestQueue* self = static_cast<DigestQueue*>(wake->data);
    self->on_done_(self->owner_);
  });
  wake_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake_));
  open_ = true;
}

void DigestQueue::close(uv_close_cb on_closed, void* data) {
  {
    // Workers wake nobody from here on.
    Lock lock(&mutex_);
    open_ = false;
  }
  wake_.data = data;
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), on_closed);
}

void DigestQueue::force(const Compressor& compressor) {
  for (const DigestAlgorithm algorithm : {DigestAlgorithm::kSha1, DigestAlgorithm::kSha256}) {
    forced_[static_cast<size_t>(algorithm)].emplace(algorithm, &compressor);
  }
  lanes_best_ = compressor.lanes;
}

void DigestQueue::measure(bool on) {
  Lock lock(&mutex_);
  measuring_ = on;
}

const CompressorChoice& DigestQueue::choiceOf(DigestAlgorithm algorithm) const {
  const std::optional<CompressorChoice>& forced = forced_[static_cast<size_t>(algorithm)];
  return forced ? *forced : CompressorChoice::cheapest(algorithm);
}

void DigestQueue::add(DigestTask* task) {
  Lock lock(&mutex_);
  waiting_.push(task);
}

void DigestQueue::start() {
  while (startWorker()) {
  }
}

bool DigestQueue::wantsWorker() const {
  if (waiting_.count == 0 || workers_active_ >= workers_max_) return false;
  if (workers_active_ == 0) return true;
  const size_t room = std::max(workers_active_ * lanes_best_, lanes_used_) - lanes_used_;
  return waiting_.count >= room + std::max<size_t>(1, lanes_best_ / 2);
}

bool DigestQueue::startWorker() {
  {
    Lock lock(&mutex_);
    if (!wantsWorker()) return false;
    workers_active_++;
  }
  const auto spare = std::find_if(workers_.begin(), workers_.end(), [](const auto& each) { return !each->in_pool; });
  Worker* worker = spare != workers_.end() ? spare->get() : workers_.emplace_back(std::make_unique<Worker>()).get();
  worker->queue = this;
  worker->request.data = worker;
  worker->in_pool = true;
  workers_in_pool_++;
  uv_queue_work(loop_, &worker->request, run, onEnd);
  return true;
}

void DigestQueue::run(uv_work_t* request) {
  DigestQueue* queue = static_cast<Worker*>(request->data)->queue;
  Lanes(queue).run();
}

void DigestQueue::onEnd(uv_work_t* request, int) {
  Worker* worker = static_cast<Worker*>(request->data);
  DigestQueue* self = worker->queue;
  worker->in_pool = false;
  self->workers_in_pool_--;
  // Perhaps the end of this queue: nothing may follow.
  self->on_done_(self->owner_);
}

bool DigestQueue::nextAlgorithm(DigestAlgorithm* algorithm) {
  Lock lock(&mutex_);
  if (waiting_.first == nullptr) {
    workers_active_--;
    return false;
  }
  *algorithm = waiting_.first->digest->algorithm();
  return true;
}

DigestTask* DigestQueue::collect() {
  Lock lock(&mutex_);
  return done_.pop();
}

DigestTask* DigestQueue::withdraw() {
  Lock lock(&mutex_);
  return waiting_.pop();
}

double DigestQueue::takeNanos() {
  Lock lock(&mutex_);
  const double nanos = nanos_;
  nanos_ = 0;
  return nanos;
}

}  // namespace scatterwire
