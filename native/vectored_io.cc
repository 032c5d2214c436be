#include "vectored_io.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

namespace scatterwire {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // SO_NOSIGPIPE was set on the socket
#endif
#ifdef MSG_MORE
constexpr int kMore = MSG_MORE;
#else
constexpr int kMore = 0;
#endif

double result(ssize_t bytes) {
  if (bytes >= 0) return static_cast<double>(bytes);
  return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

}  // namespace

bool translatePlan(const AddressSpace& space, const double* pairs, size_t count, iovec* vectors) {
  for (size_t index = 0; index < count; index++) {
    char* base = space.translate(pairs[2 * index], pairs[2 * index + 1]);
    if (base == nullptr) return false;
    vectors[index] = {base, static_cast<size_t>(pairs[2 * index + 1])};
  }
  return true;
}

double readVectors(int fd, const iovec* vectors, size_t count) {
  ssize_t bytes;
  do {
    bytes = readv(fd, vectors, static_cast<int>(count));
  } while (bytes < 0 && errno == EINTR);
  return result(bytes);
}

double writeVectors(int fd, iovec* vectors, size_t count, bool more) {
  msghdr message = {};
  message.msg_iov = vectors;
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  ssize_t bytes;
  do {
    bytes = sendmsg(fd, &message, kNoSignal | (more ? kMore : 0));
  } while (bytes < 0 && errno == EINTR);
  return result(bytes);
}

double sendFile(int fd, int file_fd, double offset, double length) {
#ifdef __linux__
  ssize_t bytes;
  do {
    off_t at = static_cast<off_t>(offset);
    bytes = sendfile(fd, file_fd, &at, static_cast<size_t>(length));
  } while (bytes < 0 && errno == EINTR);
  return result(bytes);
#elif defined(__APPLE__)
  off_t count = static_cast<off_t>(length);
  const int status = sendfile(file_fd, fd, static_cast<off_t>(offset), &count, nullptr, 0);
  if (status == 0 || count > 0) return static_cast<double>(count);
  return errno == EINTR ? -EAGAIN : result(-1);
#else
  (void)fd, (void)file_fd, (void)offset, (void)length;
  return -ENOTSUP;
#endif
}

double readCached(int file_fd, double offset, const iovec* vectors, size_t count) {
#ifdef RWF_NOWAIT
  ssize_t bytes;
  do {
    bytes = preadv2(file_fd, vectors, static_cast<int>(count), static_cast<off_t>(offset), RWF_NOWAIT);
  } while (bytes < 0 && errno == EINTR);
  return result(bytes);
#else
  (void)file_fd, (void)offset, (void)vectors, (void)count;
  return -ENOTSUP;
#endif
}

}  // namespace scatterwire
