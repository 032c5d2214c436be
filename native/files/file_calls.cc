// See file_calls.h.
#include "files/file_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "net/vectored_io.h"

namespace scatterwire {

namespace {

// The part of a list of vectors that is still to do.
struct Rest {
  iovec* vectors;
  size_t count;

  void skipEmpty() {
    while (count > 0 && vectors->iov_len == 0) {
      vectors++;
      count--;
    }
  }

  void skip(size_t bytes) {
    while (bytes > 0) {
      // No system call moves more than it was given; behind the last vector is memory of nobody.
      assert(count > 0 && vectors->iov_len > 0);
      const size_t step = std::min(bytes, vectors->iov_len);
      vectors->iov_base = static_cast<char*>(vectors->iov_base) + step;
      vectors->iov_len -= step;
      bytes -= step;
      skipEmpty();
    }
  }
};

using VectorCall = ssize_t (*)(int, const iovec*, int, off_t);

// Repeats `call`, each time for what the last one left over. Stops early when it moves nothing.
double repeat(VectorCall call, int fd, double offset, iovec* vectors, size_t count, bool* finished) {
  assert(offset >= 0 && (vectors != nullptr || count == 0));
  Rest rest = {vectors, count};
  off_t at = static_cast<off_t>(offset);
  double total = 0;
  rest.skipEmpty();
  while (rest.count > 0) {
    const ssize_t bytes = call(fd, rest.vectors, static_cast<int>(std::min(rest.count, kVectorsMax)), at);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return -errno;
    if (bytes == 0) break;
    rest.skip(static_cast<size_t>(bytes));
    at += bytes;
    total += static_cast<double>(bytes);
  }
  *finished = rest.count == 0;
  return total;
}

}  // namespace

double writeFully(int fd, double offset, iovec* vectors, size_t count) {
  bool finished = false;
  const double result = repeat(pwritev, fd, offset, vectors, count, &finished);
  // No system says so of a regular file; if one does, the bytes are not there.
  return result >= 0 && !finished ? -EIO : result;
}

double readFully(int fd, double offset, iovec* vectors, size_t count) {
  bool finished = false;
  return repeat(preadv, fd, offset, vectors, count, &finished);
}

int openRegular(const char* path) {
  int fd;
  do {
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  struct stat status = {};
  int wrong = fstat(fd, &status) < 0 ? -errno : 0;
  if (wrong == 0 && !S_ISREG(status.st_mode)) wrong = -EINVAL;
  if (wrong == 0) return fd;
  close(fd);
  return wrong;
}

void closeFile(int fd) {
  assert(fd >= 0);
  // Nothing was written: no error is of interest, and EINTR has closed it as well.
  close(fd);
}

bool readCached(int fd, off_t offset, char* data, size_t length) {
#if defined(__linux__) && defined(RWF_NOWAIT)
  iovec vector = {data, length};
  return preadv2(fd, &vector, 1, offset, RWF_NOWAIT) == static_cast<ssize_t>(length);
#else
  return pread(fd, data, length, offset) == static_cast<ssize_t>(length);
#endif
}

void announceRead(int fd, off_t offset, size_t length) {
#if defined(__linux__) && defined(RWF_NOWAIT)
  // Announcing looks at every page, which is wasted on what is cached. One in the middle tells whether that is so.
  char byte;
  if (readCached(fd, offset + static_cast<off_t>(length / 2), &byte, 1)) return;
  posix_fadvise(fd, offset, static_cast<off_t>(length), POSIX_FADV_WILLNEED);
#else
  (void)fd, (void)offset, (void)length;
#endif
}

int lockByte(int fd, off_t offset, ByteLock kind) {
#ifdef F_OFD_SETLK
  struct flock lock = {};
  lock.l_type = kind == ByteLock::none ? F_UNLCK : kind == ByteLock::shared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  int result;
  do {
    result = fcntl(fd, F_OFD_SETLK, &lock);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return 0;
  return errno == EACCES ? -EAGAIN : -errno;
#else
  (void)fd, (void)offset, (void)kind;
  return -ENOTSUP;
#endif
}

// The system's own call and no emulation by writing zeros: -EOPNOTSUPP tells the caller that there is none.
double allocateFile(int fd, double offset, double length) {
#ifdef __linux__
  int result;
  do {
    result = fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
#elif defined(F_PREALLOCATE)
  struct stat status = {};
  if (fstat(fd, &status) < 0) return -errno;
  const off_t end = static_cast<off_t>(offset) + static_cast<off_t>(length);
  if (end <= status.st_size) return 0;
  fstore_t store = {};
  store.fst_flags = F_ALLOCATEALL;
  store.fst_posmode = F_PEOFPOSMODE;
  store.fst_length = end - status.st_size;
  if (fcntl(fd, F_PREALLOCATE, &store) < 0) return -errno;
  return ftruncate(fd, end) < 0 ? -errno : 0;
#else
  (void)fd, (void)offset, (void)length;
  return -ENOTSUP;
#endif
}

double syncFile(int fd) {
  int result;
  do {
#ifdef __APPLE__
    // fsync leaves the bytes in the drive's cache there; F_FULLFSYNC is not known to every file system.
    result = fcntl(fd, F_FULLFSYNC);
    if (result < 0 && errno != EINTR) result = fsync(fd);
#else
    result = fdatasync(fd);
#endif
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

}  // namespace scatterwire
