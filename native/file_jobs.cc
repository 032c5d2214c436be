#include "file_jobs.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vectored_io.h"

namespace scatterwire {

namespace {

// Word 0 of a job, and the words before its pairs; binding.ts has the same numbers.
enum class Kind { kWrite = 0, kRead = 1, kDigest = 2, kAllocate = 3, kSync = 4, kCopy = 5 };
constexpr size_t kHeaderWords = 6;
constexpr int kDigestStart = 1;
constexpr int kDigestFinish = 2;

// Moves all bytes of the list, in as many calls as it takes. Bytes moved (fewer only at the end of a file that is
// read), or a negative errno.
template <typename Call>
double moveAll(std::vector<iovec>& vectors, off_t offset, Call call) {
  size_t first = 0;
  double moved = 0;
  while (first < vectors.size()) {
    const size_t count = std::min(vectors.size() - first, kVectorsMax);
    const ssize_t bytes = call(&vectors[first], static_cast<int>(count), offset);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (bytes == 0) return moved;
    moved += static_cast<double>(bytes);
    offset += bytes;
    size_t left = static_cast<size_t>(bytes);
    while (first < vectors.size() && left >= vectors[first].iov_len) left -= vectors[first++].iov_len;
    if (left > 0) {
      vectors[first].iov_base = static_cast<char*>(vectors[first].iov_base) + left;
      vectors[first].iov_len -= left;
    }
  }
  return moved;
}

double allocate(int fd, off_t offset, off_t length) {
#if defined(__linux__)
  int result;
  do {
    result = fallocate(fd, 0, offset, length);
  } while (result < 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
#elif defined(F_PREALLOCATE)
  fstore_t store = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, offset + length, 0};
  if (fcntl(fd, F_PREALLOCATE, &store) < 0) return -errno;
  return ftruncate(fd, offset + length) == 0 ? 0 : -errno;
#else
  (void)fd, (void)offset, (void)length;
  return -ENOTSUP;
#endif
}

double synchronize(int fd) {
  int result;
  do {
#if defined(__APPLE__)
    result = fcntl(fd, F_FULLFSYNC) < 0 ? fsync(fd) : 0;
#else
    result = fdatasync(fd);
#endif
  } while (result < 0 && errno == EINTR);
  return result == 0 ? 0 : -errno;
}

}  // namespace

struct FileJobs::Job {
  uv_work_t work = {};
  FileJobs* jobs = nullptr;
  Kind kind = Kind::kSync;
  double tag = 0;
  int handle = 0;
  double offset = 0;
  double argument = 0;
  std::vector<iovec> vectors;
  // Where a digest or a copy goes; translated when the job is taken, on the loop.
  char* target = nullptr;
  std::shared_ptr<Digest> digest;
  double result = 0;

  double digestAll();
  double copyAll();
};

double FileJobs::Job::digestAll() {
  const int flags = static_cast<int>(argument);
  double bytes = 0;
  if ((flags & kDigestStart) != 0 && !digest->start()) return -EIO;
  for (const iovec& vector : vectors) {
    if (!digest->update(vector.iov_base, vector.iov_len)) return -EIO;
    bytes += static_cast<double>(vector.iov_len);
  }
  if ((flags & kDigestFinish) != 0 && !digest->finish(reinterpret_cast<unsigned char*>(target))) return -EIO;
  return bytes;
}

double FileJobs::Job::copyAll() {
  double bytes = 0;
  for (const iovec& vector : vectors) {
    memmove(target + static_cast<size_t>(bytes), vector.iov_base, vector.iov_len);
    bytes += static_cast<double>(vector.iov_len);
  }
  return bytes;
}

FileJobs::FileJobs(uv_loop_t* loop, std::shared_ptr<AddressSpace> space, void (*on_completed)(void*), void* owner)
    : loop_(loop), space_(std::move(space)), on_completed_(on_completed), owner_(owner) {}

FileJobs::~FileJobs() = default;

FileJobs::Job* FileJobs::borrow() {
  if (idle_.empty()) {
    jobs_.push_back(std::make_unique<Job>());
    jobs_.back()->work.data = jobs_.back().get();
    jobs_.back()->jobs = this;
    return jobs_.back().get();
  }
  Job* job = idle_.back();
  idle_.pop_back();
  return job;
}

// Reads one job from `words` into `job`. False if it is not well formed or names memory that is not ours.
bool FileJobs::parse(const double* words, size_t count, size_t* used, Job* job) {
  if (count < kHeaderWords) return false;
  if (!(words[0] >= 0 && words[0] <= static_cast<double>(Kind::kCopy))) return false;
  const double pairs = words[5];
  if (!(pairs >= 0 && pairs <= static_cast<double>((count - kHeaderWords) / 2))) return false;
  const size_t vectors = static_cast<size_t>(pairs);
  job->kind = static_cast<Kind>(static_cast<int>(words[0]));
  job->tag = words[1];
  job->handle = static_cast<int>(words[2]);
  job->offset = words[3];
  job->argument = words[4];
  job->vectors.resize(vectors);
  if (!translatePlan(*space_, words + kHeaderWords, vectors, job->vectors.data())) return false;
  *used = kHeaderWords + 2 * vectors;

  double total = 0;
  for (const iovec& vector : job->vectors) total += static_cast<double>(vector.iov_len);
  if (job->kind == Kind::kCopy) job->target = space_->translate(job->offset, total);
  if (job->kind == Kind::kDigest) {
    if (job->handle < 0 || static_cast<size_t>(job->handle) >= digests_.size()) return false;
    job->digest = digests_[static_cast<size_t>(job->handle)];
    if (job->digest == nullptr) return false;
    const bool finish = (static_cast<int>(job->argument) & kDigestFinish) != 0;
    job->target = finish ? space_->translate(job->offset, static_cast<double>(job->digest->size())) : nullptr;
    return !finish || job->target != nullptr;
  }
  return job->kind != Kind::kCopy || job->target != nullptr;
}

double FileJobs::submit(const double* words, size_t count) {
  // All are read before any runs: a table that is wrong somewhere does nothing.
  parsed_.clear();
  bool good = true;
  for (size_t at = 0; good && at < count;) {
    Job* job = borrow();
    parsed_.push_back(job);
    size_t used = 0;
    good = parse(words + at, count - at, &used, job);
    at += used;
  }
  if (!good) {
    for (Job* job : parsed_) {
      job->digest = nullptr;
      idle_.push_back(job);
    }
    return kBadPlan;
  }
  for (Job* job : parsed_) {
    running_++;
    uv_queue_work(loop_, &job->work, run, finished);
  }
  return static_cast<double>(parsed_.size());
}

// On a thread of the pool.
void FileJobs::run(uv_work_t* work) {
  Job* job = static_cast<Job*>(work->data);
  const off_t offset = static_cast<off_t>(job->offset);
  switch (job->kind) {
    case Kind::kWrite:
      job->result = moveAll(job->vectors, offset, [job](const iovec* vectors, int count, off_t at) {
        return pwritev(job->handle, vectors, count, at);
      });
      break;
    case Kind::kRead:
      job->result = moveAll(job->vectors, offset, [job](const iovec* vectors, int count, off_t at) {
        return preadv(job->handle, vectors, count, at);
      });
      break;
    case Kind::kDigest:
      job->result = job->digestAll();
      break;
    case Kind::kAllocate:
      job->result = allocate(job->handle, offset, static_cast<off_t>(job->argument));
      break;
    case Kind::kSync:
      job->result = synchronize(job->handle);
      break;
    case Kind::kCopy:
      job->result = job->copyAll();
      break;
  }
}

// On the loop again.
void FileJobs::finished(uv_work_t* work, int status) {
  Job* job = static_cast<Job*>(work->data);
  FileJobs* self = job->jobs;
  self->completions_.push_back(job->tag);
  self->completions_.push_back(status < 0 ? status : job->result);
  job->digest = nullptr;
  self->idle_.push_back(job);
  self->running_--;
  self->on_completed_(self->owner_);
}

int FileJobs::openDigest(DigestAlgorithm algorithm) {
  auto digest = std::make_shared<Digest>(algorithm);
  for (size_t index = 0; index < digests_.size(); index++) {
    if (digests_[index] != nullptr) continue;
    digests_[index] = std::move(digest);
    return static_cast<int>(index);
  }
  digests_.push_back(std::move(digest));
  return static_cast<int>(digests_.size()) - 1;
}

bool FileJobs::closeDigest(int digest) {
  if (digest < 0 || static_cast<size_t>(digest) >= digests_.size()) return false;
  digests_[static_cast<size_t>(digest)] = nullptr;
  return true;
}

size_t FileJobs::take(double* pairs, size_t capacity) {
  const size_t count = std::min(completed(), capacity);
  for (size_t at = 0; at < 2 * count; at++) {
    pairs[at] = completions_.front();
    completions_.pop_front();
  }
  return count;
}

}  // namespace scatterwire
