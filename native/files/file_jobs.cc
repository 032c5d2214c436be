// See file_jobs.h. Taking jobs and delivering them happens on the loop's thread; run() and what it calls, and wake(), on others.
// One short function checks, and one does, each kind of job: there are many kinds.
#include "files/file_jobs.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "files/file_calls.h"

namespace scatterwire {

namespace {

Cost costOf(int kind) {
  switch (kind) {
    case kRead: return kCostRead;
    case kCopy: return kCostCopy;
    default: return kCostWrite;
  }
}

bool isIntegerIn(double value, double low, double high) {
  // NaN compares false. The cast is safe within the bounds that are asked for here.
  return value >= low && value <= high && static_cast<double>(static_cast<int64_t>(value)) == value;
}

}  // namespace

void FileJobs::open() {
  uv_async_init(loop_, &wake_, onWake);
  wake_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake_));
  WorkerPool::ofProcess().enter();
}

void FileJobs::close(uv_close_cb on_closed, void* data) {
  assert(running() == 0);
  WorkerPool::ofProcess().leave(&work_);
  wake_.data = data;
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), on_closed);
}

FileJobs::Job* FileJobs::obtain() {
  if (free_ == nullptr) {
    jobs_.push_back(std::make_unique<Job>());
    Job* const job = jobs_.back().get();
    Work& work = *job;
    work.run = run;
    job->queue = this;
    return job;
  }
  Job* job = free_;
  assert(job->queue == this && job->regions.empty());
  free_ = job->next_job;
  return job;
}

void FileJobs::recycle(Job* job) {
  assert(job->queue == this && job->regions.empty());
  job->next_job = free_;
  free_ = job;
}

const char* FileJobs::submit(const double* words, size_t count, size_t* jobs) {
  *jobs = 0;
  Job* first = nullptr;
  Job** end = &first;
  const char* wrong = nullptr;
  for (size_t at = 0; at < count && wrong == nullptr;) {
    Job* job = obtain();
    job->next_job = nullptr;
    *end = job;
    end = &job->next_job;
    size_t used = 0;
    wrong = take(words + at, count - at, &used, job);
    assert(wrong != nullptr || (used >= kJobHeaderWords && used <= count - at));
    at += used;
    ++*jobs;
  }
  Work* work = nullptr;
  Work** work_end = &work;
  while (first != nullptr) {
    Job* job = first;
    first = job->next_job;
    if (wrong != nullptr) {
      release(job);
      recycle(job);
      continue;
    }
    if (running_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&wake_));
    pending_++;
    if (job->digest != nullptr) {
      startDigest(job);
    } else if (startsNow(job)) {
      job->next = nullptr;
      *work_end = job;
      work_end = &job->next;
    }
  }
  if (work != nullptr) WorkerPool::ofProcess().add(&work_, WorkKind::kFile, work);
  digest_queue_.start();
  return wrong;
}

// False: the job waits for its turn, and the one before it starts it.
bool FileJobs::startsNow(Job* job) {
  job->timed = costs_->on();
  if (job->kind != kWrite || job->argument != kWriteInTurn) return true;
  WriteTurn& turn = write_turns_[static_cast<size_t>(job->handle) % kWriteTurns];
  const std::lock_guard<std::mutex> lock(mutex_);
  assert(turn.taken || turn.first == nullptr);
  if (!turn.taken) {
    turn.taken = true;
    return true;
  }
  job->next_job = nullptr;
  (turn.first == nullptr ? turn.first : turn.last->next_job) = job;
  turn.last = job;
  return false;
}

void FileJobs::startDigest(Job* job) {
  const int flags = static_cast<int>(job->argument);
  digest_queue_.measure(costs_->on());
  assert(job->digest != nullptr && (job->vectors.empty() || job->stretches.empty()));
  job->task.job = job;
  job->task.digest = job->digest;
  job->task.vectors = job->vectors.data();
  job->task.vector_count = job->vectors.size();
  job->task.stretches = job->stretches.data();
  job->task.stretch_count = job->stretches.size();
  job->task.paths_open_max = static_cast<size_t>(flags / kDigestOpenFiles);
  job->task.start = (flags & kDigestStart) != 0;
  job->task.finish = (flags & kDigestFinish) != 0;
  job->task.output = reinterpret_cast<unsigned char*>(job->target);
  digest_queue_.add(&job->task);
}

// Copies one job out of the table. The words are read once each: the table is shared, and jobs are not.
const char* FileJobs::take(const double* words, size_t count, size_t* used, Job* job) {
  job->target = nullptr;
  job->digest = nullptr;
  job->vectors.clear();
  job->stretches.clear();
  job->regions.clear();
  if (count < kJobHeaderWords) return "a job is shorter than its header";
  const double kind = words[0];
  const double handle = words[2];
  const double pairs = words[5];
  if (!isIntegerIn(kind, 0, kKinds - 1)) return "a job is of no known kind";
  if (!isIntegerIn(handle, INT32_MIN, INT32_MAX)) return "a job's handle is not a 32-bit integer";
  if (!isIntegerIn(pairs, 0, static_cast<double>((count - kJobHeaderWords) / 2)))
    return "a job's pairs exceed its table";
  job->kind = static_cast<int>(kind);
  job->tag = words[1];
  job->handle = static_cast<int>(handle);
  job->offset = words[3];
  job->argument = words[4];
  *used = kJobHeaderWords + 2 * static_cast<size_t>(pairs);
  if (job->kind == kDigestFiles || job->kind == kDigestPaths) {
    const auto takeAll = job->kind == kDigestFiles ? &FileJobs::takeStretches : &FileJobs::takePaths;
    const char* wrong = (this->*takeAll)(words + kJobHeaderWords, static_cast<size_t>(pairs), job);
    return wrong != nullptr ? wrong : takeDigest(job);
  }
  double bytes = 0;
  const char* wrong = takeMemory(words + kJobHeaderWords, static_cast<size_t>(pairs), job, &bytes);
  if (wrong != nullptr) return wrong;
  if (job->kind == kDigest) return takeDigest(job);
  if (job->kind == kCopy) return takeTarget(job, bytes);
  if (!isIntegerIn(job->offset, 0, kExactMax)) return "a job's file offset is not an integer from 0 to 2^53 - 1";
  if (!isIntegerIn(job->argument, 0, kExactMax)) return "a job's argument is not an integer from 0 to 2^53 - 1";
  return nullptr;
}

const char* FileJobs::takeMemory(const double* pairs, size_t count, Job* job, double* bytes) {
  const Access access = job->kind == kRead ? Access::kWrite : Access::kRead;
  for (size_t index = 0; index < count; index++) {
    const double address = pairs[2 * index];
    const double length = pairs[2 * index + 1];
    char* base = space_->find(address, length, access);
    if (base == nullptr) return "a job names memory that is not there, or not to be written";
    hold(address, job);
    job->vectors.push_back({base, static_cast<size_t>(length)});
    *bytes += length;
  }
  return nullptr;
}

const char* FileJobs::takeStretches(const double* pairs, size_t count, Job* job) {
  if (count == 0 || count % 2 != 0) return "a stretch of a file has two pairs";
  for (size_t index = 0; index < count; index += 2) {
    const double fd = pairs[2 * index];
    const double offset = pairs[2 * index + 1];
    const double length = pairs[2 * index + 2];
    if (!isIntegerIn(fd, INT32_MIN, INT32_MAX)) return "a descriptor is not a 32-bit integer";
    if (!isIntegerIn(offset, 0, kExactMax) || !isIntegerIn(length, 0, kExactMax - offset)) {
      return "a stretch of a file does not lie within 2^53 - 1 bytes";
    }
    job->stretches.push_back({static_cast<int>(fd), nullptr, static_cast<off_t>(offset), static_cast<size_t>(length)});
  }
  return nullptr;
}

const char* FileJobs::takePaths(const double* pairs, size_t count, Job* job) {
  if (count == 0 || count % 2 != 0) return "a stretch of a file has two pairs";
  for (size_t index = 0; index < count; index += 2) {
    const double address = pairs[2 * index];
    const double bytes = pairs[2 * index + 1];
    const double offset = pairs[2 * index + 2];
    const double length = pairs[2 * index + 3];
    const char* path = space_->find(address, bytes, Access::kRead);
    // Of bytes that somebody else may write meanwhile, nobody knows where they end.
    if (path == nullptr || AddressSpace::regionOf(address) != 0) return "a job names a path that is not there";
    if (bytes < 2 || strnlen(path, static_cast<size_t>(bytes)) != static_cast<size_t>(bytes) - 1) {
      return "a path ends with its only zero";
    }
    if (!isIntegerIn(offset, 0, kExactMax) || !isIntegerIn(length, 0, kExactMax - offset)) {
      return "a stretch of a file does not lie within 2^53 - 1 bytes";
    }
    job->stretches.push_back({-1, path, static_cast<off_t>(offset), static_cast<size_t>(length)});
  }
  return nullptr;
}

const char* FileJobs::takeTarget(Job* job, double bytes) {
  job->target = space_->find(job->offset, bytes, Access::kWrite);
  if (job->target == nullptr) return "a job's target is not there, or not to be written";
  hold(job->offset, job);
  return nullptr;
}

const char* FileJobs::takeDigest(Job* job) {
  const bool opens = job->kind == kDigestPaths;
  const double least = opens ? kDigestOpenFiles : 0;
  const double most = (opens ? kDigestOpenFiles * static_cast<int>(kPathsOpenMax) : 0) + (kDigestStart | kDigestFinish);
  if (!isIntegerIn(job->argument, least, most)) return "a digest job's argument has unknown bits";
  if (job->handle < 0 || static_cast<size_t>(job->handle) >= digests_.size()) return "a job names no open digest";
  OpenDigest& open = digests_[static_cast<size_t>(job->handle)];
  if (open.digest == nullptr) return "a job names no open digest";
  if (open.busy) return "a digest has a job already";
  if ((static_cast<int>(job->argument) & kDigestFinish) != 0) {
    const char* wrong = takeTarget(job, static_cast<double>(open.digest->size()));
    if (wrong != nullptr) return wrong;
  }
  open.busy = true;
  job->digest = open.digest.get();
  return nullptr;
}

void FileJobs::hold(double address, Job* job) {
  const uint32_t region = AddressSpace::regionOf(address);
  if (region == 0) return;
  space_->hold(region);
  job->regions.push_back(region);
}

// Gives back what taking the job had claimed.
void FileJobs::release(Job* job) {
  for (const uint32_t region : job->regions) space_->letGo(region);
  job->regions.clear();
  if (job->digest == nullptr) return;
  assert(job->handle >= 0 && static_cast<size_t>(job->handle) < digests_.size());
  OpenDigest& open = digests_[static_cast<size_t>(job->handle)];
  assert(open.busy && open.digest.get() == job->digest);
  open.busy = false;
}

void FileJobs::run(Work* work, Scratch*) {
  Job* const job = static_cast<Job*>(work);
  const double begin = job->timed ? clockNanos(CLOCK_THREAD_CPUTIME_ID) : 0;
  runKind(job);
  if (job->timed) job->nanos = clockNanos(CLOCK_THREAD_CPUTIME_ID) - begin;
  job->queue->handBack(job);
}

// The next of its turn goes to the end of the line, so that turns of one engine do not keep other work from a thread.
void FileJobs::handBack(Job* job) {
  if (job->kind == kWrite && job->argument == kWriteInTurn) {
    Job* next = nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      WriteTurn& turn = write_turns_[static_cast<size_t>(job->handle) % kWriteTurns];
      assert(turn.taken);
      next = turn.first;
      turn.taken = next != nullptr;
      if (next != nullptr) turn.first = next->next_job;
    }
    if (next != nullptr) {
      next->next = nullptr;
      WorkerPool::ofProcess().add(&work_, WorkKind::kFile, next);
    }
  }
  // The last thing that is done here: when the loop has seen the job, this object may go.
  const std::lock_guard<std::mutex> lock(mutex_);
  job->next_job = done_;
  done_ = job;
  wake(this);
}

void FileJobs::wake(void* jobs) { uv_async_send(&static_cast<FileJobs*>(jobs)->wake_); }

void FileJobs::runKind(Job* job) {
  iovec* vectors = job->vectors.data();
  const size_t count = job->vectors.size();
  switch (job->kind) {
    case kWrite: job->result = writeFully(job->handle, job->offset, vectors, count); break;
    case kRead: job->result = readFully(job->handle, job->offset, vectors, count); break;
    case kAllocate: job->result = allocateFile(job->handle, job->offset, job->argument); break;
    case kSync: job->result = syncFile(job->handle); break;
    case kCopy: job->result = runCopy(job); break;
  }
}

double FileJobs::runCopy(Job* job) {
  assert(job->target != nullptr);
  char* target = job->target;
  for (const iovec& vector : job->vectors) {
    // memmove: the caller may well move bytes within one slot.
    memmove(target, vector.iov_base, vector.iov_len);
    target += vector.iov_len;
  }
  return static_cast<double>(target - job->target);
}

// Those that are done, in the order in which they were.
FileJobs::Job* FileJobs::takeDone() {
  Job* last = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    last = done_;
    done_ = nullptr;
  }
  Job* first = nullptr;
  while (last != nullptr) {
    Job* const job = last;
    last = job->next_job;
    job->next_job = first;
    first = job;
  }
  return first;
}

void FileJobs::onWake(uv_async_t* handle) {
  FileJobs* self = static_cast<FileJobs*>(handle->data);
  for (Job* job = self->takeDone(); job != nullptr;) {
    Job* const next = job->next_job;
    if (job->timed) self->costs_->add(costOf(job->kind), job->nanos);
    self->complete(job);
    job = next;
  }
  self->costs_->add(kCostDigest, self->digest_queue_.takeNanos());
  while (DigestTask* task = self->digest_queue_.collect()) {
    Job* job = static_cast<Job*>(task->job);
    job->result = task->result;
    self->complete(job);
  }
  // Perhaps the end of this object: nothing may follow.
  self->on_done_(self->owner_);
}

void FileJobs::complete(Job* job) {
  assert(job->queue == this && running_ > 0 && running_ <= pending_);
  // What it touched was not what the file holds. The system's own calls say so by the same number.
  for (const uint32_t region : job->regions) {
    if (job->result >= 0 && space_->damaged(region)) job->result = -EFAULT;
  }
  release(job);
  if (--running_ == 0 && !canceled_) uv_unref(reinterpret_cast<uv_handle_t*>(&wake_));
  job->next_job = nullptr;
  (completed_first_ == nullptr ? completed_first_ : completed_last_->next_job) = job;
  completed_last_ = job;
}

size_t FileJobs::deliver(double* pairs, size_t capacity) {
  size_t count = 0;
  while (completed_first_ != nullptr && count < capacity) {
    Job* job = completed_first_;
    completed_first_ = job->next_job;
    pairs[2 * count] = job->tag;
    pairs[2 * count + 1] = job->result;
    count++;
    recycle(job);
  }
  assert(count <= pending_ && pending_ - count >= running_);
  pending_ -= count;
  return count;
}

void FileJobs::cancel() {
  assert(!canceled_);
  // A worker for digests may have to end yet, and nobody else would keep the loop waiting for it.
  canceled_ = true;
  uv_ref(reinterpret_cast<uv_handle_t*>(&wake_));
  Job* canceled = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (WriteTurn& turn : write_turns_) {
      while (turn.first != nullptr) {
        Job* const job = turn.first;
        turn.first = job->next_job;
        job->next_job = canceled;
        canceled = job;
      }
    }
  }
  for (Work* work = WorkerPool::ofProcess().withdraw(&work_, WorkKind::kFile); work != nullptr;) {
    Job* const job = static_cast<Job*>(work);
    work = work->next;
    job->next_job = canceled;
    canceled = job;
  }
  while (canceled != nullptr) {
    Job* const job = canceled;
    canceled = job->next_job;
    job->result = UV_ECANCELED;
    complete(job);
  }
  while (DigestTask* task = digest_queue_.withdraw()) {
    Job* job = static_cast<Job*>(task->job);
    job->result = UV_ECANCELED;
    complete(job);
  }
}

int FileJobs::openDigest(DigestAlgorithm algorithm) {
  size_t index = 0;
  while (index < digests_.size() && digests_[index].digest != nullptr) index++;
  if (index == digests_.size()) digests_.emplace_back();
  assert(!digests_[index].busy);
  digests_[index].digest = std::make_unique<Digest>(algorithm);
  return static_cast<int>(index);
}

int FileJobs::closeDigest(int digest) {
  if (digest < 0 || static_cast<size_t>(digest) >= digests_.size()) return -EINVAL;
  OpenDigest& open = digests_[static_cast<size_t>(digest)];
  if (open.digest == nullptr) return -EINVAL;
  if (open.busy) return -EBUSY;
  open.digest.reset();
  return 0;
}

}  // namespace scatterwire
