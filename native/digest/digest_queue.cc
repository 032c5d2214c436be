// See digest_queue.h. Lanes is what one worker has in hand; it alone runs outside the lock.
#include "digest/digest_queue.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "cost_clocks.h"
#include "files/file_calls.h"

namespace scatterwire {

namespace {

// Blocks that lanes are advanced by at most before the worker looks for tasks again: 16 KiB of each.
constexpr size_t kStepBlocksMax = 256;
// What a lane reads of a file at one time: those of all lanes fit the second cache of a core.
constexpr size_t kReadBytes = size_t{64} << 10;
// After so long a worker makes room for another engine's.
constexpr uint64_t kTiredNanos = 50'000'000;

class Lock {
 public:
  explicit Lock(uv_mutex_t* mutex) : mutex_(mutex) { uv_mutex_lock(mutex_); }
  ~Lock() { uv_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  uv_mutex_t* mutex_;
};

size_t lanesOfWidest() {
  const Compressor* found[kCompressorsMax];
  size_t lanes = 1;
  const size_t count = findCompressors(found, kCompressorsMax);
  for (size_t index = 0; index < count; index++) lanes = std::max(lanes, found[index]->lanes);
  return lanes;
}

}  // namespace

void DigestTaskList::push(DigestTask* task) {
  assert((first == nullptr) == (count == 0));
  task->next = nullptr;
  (first == nullptr ? first : last->next) = task;
  last = task;
  count++;
}

DigestTask* DigestTaskList::pop() {
  DigestTask* task = first;
  assert((task == nullptr) == (count == 0));
  if (task == nullptr) return nullptr;
  first = task->next;
  count--;
  return task;
}

// The tasks of one worker, all of one algorithm. Lane and stream of the same index belong together; those in use come first.
class DigestQueue::Lanes {
 public:
  Lanes(DigestQueue* queue, Scratch* scratch) : queue_(queue), scratch_(scratch), began_(uv_hrtime()) {}

  void run(Worker* worker) {
    DigestAlgorithm algorithm;
    while (queue_->nextAlgorithm(worker, &algorithm)) {
      if (tired()) {
        // Still a worker of the queue's, which therefore stays.
        worker->next = nullptr;
        WorkerPool::ofProcess().add(queue_->work_, WorkKind::kHash, worker);
        return;
      }
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
    size_t vector = 0;                      // of the memory, or of the stretches of files
    size_t offset = 0;                      // in the vector
    size_t fetched = 0;                     // bytes of the vector that may be touched, up to here
    size_t blocks = 0;                      // whole blocks from `offset` on, in what is fetched
    const unsigned char* window = nullptr;  // where the byte at `window_begin` of the vector lies
    size_t window_begin = 0;
    unsigned char* buffer = nullptr;  // for what is read of a file; it stays with the lane
    // Of stretches with a path, those from `vector` up to `opened` are open: at their index modulo kPathsOpenMax.
    size_t opened = 0;
    int fds[kPathsOpenMax] = {};
    bool waited = false;  // for a disk: what comes next is announced to it
  };

  // Asked before a task is taken: then the lanes run dry.
  bool tired() const { return WorkerPool::ofProcess().waiting(WorkKind::kHash) && uv_hrtime() - began_ > kTiredNanos; }

  void fill(DigestAlgorithm algorithm) {
    const size_t room = tired() ? 0 : choice_->lanesBest() - count_;
    if (room == 0 && done_.count == 0) return;
    DigestTask* tasks[kLanesMax];
    const size_t taken = exchange(algorithm, tasks, room);
    // All of them before the first is waited for.
    for (size_t index = 0; index < taken; index++) announce(*tasks[index]);
    for (size_t index = 0; index < taken; index++) begin(tasks[index]);
  }

  static void announce(const DigestTask& task) {
    for (size_t stretch = 0; stretch < task.stretch_count; stretch++) {
      const FileStretch& file = task.stretches[stretch];
      if (file.path == nullptr) announceRead(file.fd, file.offset, file.length);
    }
  }

  // Hands over what is done, and takes up to `room` tasks.
  size_t exchange(DigestAlgorithm algorithm, DigestTask** tasks, size_t room) {
    Lock lock(&queue_->mutex_);
    DigestTaskList& waiting = queue_->waiting_;
    if (done_.count > 0) queue_->wake_(queue_->owner_);
    assert(queue_->lanes_used_ >= done_.count);
    queue_->lanes_used_ -= done_.count;
    while (DigestTask* task = done_.pop()) queue_->done_.push(task);
    size_t taken = 0;
    // A task of the other algorithm at the head is not overtaken: its turn comes when these lanes have run dry.
    while (taken < room && waiting.first != nullptr && waiting.first->digest->algorithm() == algorithm) {
      tasks[taken++] = waiting.pop();
    }
    assert(count_ + taken <= kLanesMax);
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
    assert(count_ < kLanesMax && task->digest != nullptr);
    task->result = 0;
    if (task->start) {
      task->digest->start();
    } else if (!task->digest->started()) {
      task->result = -EINVAL;
      done_.push(task);
      return;
    }
    unsigned char* const buffer = lanes_[count_].buffer;
    lanes_[count_] = {};
    lanes_[count_].buffer = buffer;
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
    const size_t count = task.stretch_count > 0 ? task.stretch_count : task.vector_count;
    for (; lane.vector < count; nextVector(&lane)) {
      const size_t length =
          task.stretch_count > 0 ? task.stretches[lane.vector].length : task.vectors[lane.vector].iov_len;
      while (lane.offset < length) {
        if (!fetch(&lane)) {
          closePaths(&lane, lane.opened);
          return false;
        }
        assert(lane.offset >= lane.window_begin && lane.offset < lane.fetched && lane.fetched <= length);
        const unsigned char* data = lane.window + (lane.offset - lane.window_begin);
        const size_t left = lane.fetched - lane.offset;
        const size_t taken = task.digest->take(data, left, *choice_);
        if (taken == 0) {
          streams_[index] = {task.digest->state(), data};
          lane.blocks = left / kHashBlockBytes;
          return true;
        }
        assert(taken <= left);
        lane.offset += taken;
        task.result += static_cast<double>(taken);
      }
    }
    if (task.finish) task.digest->finish(task.output, *choice_);
    return false;
  }

  void nextVector(Lane* lane) {
    closePaths(lane, lane->vector + 1);
    lane->vector++;
    lane->offset = 0;
    lane->fetched = 0;
  }

  // Closes what is open of the stretches before `end`, which begin with the current one.
  static void closePaths(Lane* lane, size_t end) {
    assert(lane->opened <= lane->vector + kPathsOpenMax);
    for (size_t stretch = lane->vector; stretch < std::min(end, lane->opened); stretch++) {
      closeFile(lane->fds[stretch % kPathsOpenMax]);
    }
  }

  // Opens the current stretch's file; once a disk was waited for, also those of the next. A negative errno, or the descriptor.
  static int openPaths(Lane* lane) {
    const DigestTask& task = *lane->task;
    assert(task.paths_open_max >= 1 && task.paths_open_max <= kPathsOpenMax);
    lane->opened = std::max(lane->opened, lane->vector);
    const size_t wanted = lane->waited ? task.paths_open_max : 1;
    const size_t end = std::min(lane->vector + wanted, task.stretch_count);
    for (; lane->opened < end; lane->opened++) {
      const FileStretch& file = task.stretches[lane->opened];
      if (file.path == nullptr) break;
      const int fd = openRegular(file.path);
      // Of one that comes later, its own turn tells.
      if (fd < 0 && lane->opened > lane->vector) break;
      if (fd < 0) return fd;
      if (lane->waited) announceRead(fd, file.offset, file.length);
      lane->fds[lane->opened % kPathsOpenMax] = fd;
    }
    return lane->fds[lane->vector % kPathsOpenMax];
  }

  // Sees to it that there are bytes to touch at the lane's offset, which lies in the vector. False: they cannot be read, and the
  // task has ended.
  bool fetch(Lane* lane) {
    if (lane->offset < lane->fetched) return true;
    DigestTask& task = *lane->task;
    if (task.stretch_count > 0) return fetchFile(lane, task.stretches[lane->vector]);
    const iovec& vector = task.vectors[lane->vector];
    lane->window = static_cast<const unsigned char*>(vector.iov_base);
    lane->window_begin = 0;
    lane->fetched = vector.iov_len;
    return true;
  }

  bool fetchFile(Lane* lane, const FileStretch& stretch) {
    if (lane->buffer == nullptr && !giveBuffers()) {
      lane->task->result = -ENOMEM;
      return false;
    }
    assert(lane->offset == lane->fetched && lane->fetched < stretch.length);
    const size_t length = std::min(kReadBytes, stretch.length - lane->fetched);
    const off_t offset = stretch.offset + static_cast<off_t>(lane->fetched);
    const double result =
        stretch.path == nullptr ? readOpen(stretch.fd, offset, lane->buffer, length) : readPath(lane, offset, length);
    if (result != static_cast<double>(length)) {
      // A file that ends before the stretch does.
      lane->task->result = result < 0 ? result : -EIO;
      return false;
    }
    lane->window = lane->buffer;
    lane->window_begin = lane->fetched;
    lane->fetched += length;
    return true;
  }

  static double readOpen(int fd, off_t offset, unsigned char* buffer, size_t length) {
    iovec vector = {buffer, length};
    return readFully(fd, static_cast<double>(offset), &vector, 1);
  }

  static double readPath(Lane* lane, off_t offset, size_t length) {
    int fd = openPaths(lane);
    if (fd < 0) return fd;
    if (!lane->waited) {
      if (readCached(fd, offset, reinterpret_cast<char*>(lane->buffer), length)) return static_cast<double>(length);
      lane->waited = true;
      fd = openPaths(lane);
    }
    return readOpen(fd, offset, lane->buffer, length);
  }

  bool giveBuffers() {
    unsigned char* const memory = reinterpret_cast<unsigned char*>(scratch_->obtain(kLanesMax * kReadBytes));
    if (memory == nullptr) return false;
    for (size_t index = 0; index < kLanesMax; index++) lanes_[index].buffer = memory + index * kReadBytes;
    return true;
  }

  void step() {
    if (count_ == 0) return;
    size_t blocks = kStepBlocksMax;
    for (size_t index = 0; index < count_; index++) blocks = std::min(blocks, lanes_[index].blocks);
    assert(blocks > 0);
    choice_->advance(streams_, count_, blocks);
    const size_t bytes = kHashBlockBytes * blocks;
    for (size_t index = count_; index > 0; index--) {
      Lane& lane = lanes_[index - 1];
      assert(lane.offset + bytes <= lane.fetched);
      lane.task->result += static_cast<double>(bytes);
      lane.task->digest->fed(bytes);
      lane.offset += bytes;
      lane.blocks -= blocks;
      if (lane.blocks == 0 && !findBlocks(index - 1)) remove(index - 1);
    }
  }

  void remove(size_t index) {
    assert(index < count_);
    done_.push(lanes_[index].task);
    count_--;
    // Swapped, because each has a buffer of its own.
    std::swap(lanes_[index], lanes_[count_]);
    streams_[index] = streams_[count_];
  }

  DigestQueue* queue_;
  Scratch* scratch_;
  uint64_t began_;
  const CompressorChoice* choice_ = nullptr;
  size_t count_ = 0;
  Lane lanes_[kLanesMax];
  Stream streams_[kLanesMax];
  DigestTaskList done_;
  double clock_ = 0;
};

DigestQueue::DigestQueue(WorkQueue* work, void (*wake)(void*), void* owner)
    : work_(work), wake_(wake), owner_(owner), lanes_best_(lanesOfWidest()) {
  uv_mutex_init(&mutex_);
  for (size_t index = 0; index < WorkerPool::hashingMax(); index++) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->queue = this;
    Work& each = *workers_.back();
    each.run = run;
  }
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
  assert(task->digest != nullptr && (!task->finish || task->output != nullptr));
  Lock lock(&mutex_);
  waiting_.push(task);
}

void DigestQueue::start() {
  while (startWorker()) {
  }
}

bool DigestQueue::wantsWorker() const {
  if (waiting_.count == 0 || workers_active_ >= workers_.size()) return false;
  if (workers_active_ == 0) return true;
  const size_t room = std::max(workers_active_ * lanes_best_, lanes_used_) - lanes_used_;
  return waiting_.count >= room + std::max<size_t>(1, lanes_best_ / 2);
}

bool DigestQueue::startWorker() {
  Worker* worker = nullptr;
  {
    Lock lock(&mutex_);
    if (!wantsWorker()) return false;
    const auto spare = std::find_if(workers_.begin(), workers_.end(), [](const auto& each) { return !each->in_pool; });
    assert(spare != workers_.end());
    worker = spare->get();
    worker->in_pool = true;
    workers_active_++;
  }
  worker->next = nullptr;
  WorkerPool::ofProcess().add(work_, WorkKind::kHash, worker);
  return true;
}

void DigestQueue::run(Work* work, Scratch* scratch) {
  Worker* const worker = static_cast<Worker*>(work);
  Lanes(worker->queue, scratch).run(worker);
}

bool DigestQueue::nextAlgorithm(Worker* worker, DigestAlgorithm* algorithm) {
  Lock lock(&mutex_);
  if (waiting_.first == nullptr) {
    assert(workers_active_ > 0 && worker->in_pool);
    workers_active_--;
    worker->in_pool = false;
    // The loop may wait for nothing else any more.
    if (workers_active_ == 0) wake_(owner_);
    return false;
  }
  *algorithm = waiting_.first->digest->algorithm();
  return true;
}

bool DigestQueue::working() const {
  Lock lock(&mutex_);
  return workers_active_ > 0;
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
