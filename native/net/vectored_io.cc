// See vectored_io.h. This is the hot path: no allocation, no branch that the system call does not need.
#include "net/vectored_io.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

namespace scatterwire {

namespace {

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // macOS: SO_NOSIGPIPE was set on the socket
#endif
#ifdef MSG_MORE
constexpr int kMore = MSG_MORE;
#else
constexpr int kMore = 0;
#endif

// Repeats `call` while signals interrupt it. A template, so that the call is inlined.
template <typename Call>
double bytesOrErrno(Call call) {
  ssize_t bytes;
  do {
    bytes = call();
  } while (bytes < 0 && errno == EINTR);
  assert(bytes >= 0 || errno > 0);
  return bytes >= 0 ? static_cast<double>(bytes) : -static_cast<double>(errno);
}

}  // namespace

static_assert(EWOULDBLOCK == EAGAIN, "TypeScript compares with one of them");

bool findVectors(const AddressSpace& space, const double* pairs, size_t count, Access access, iovec* vectors) {
  assert(count <= kVectorsMax && pairs != nullptr && vectors != nullptr);
  for (size_t index = 0; index < count; index++) {
    // Each number is read once: a misguided worker could change it between the check and the use.
    const double address = pairs[2 * index];
    const double length = pairs[2 * index + 1];
    char* base = space.find(address, length, access);
    if (base == nullptr) return false;
    assert(address >= 0 && length >= 0);
    vectors[index] = {base, static_cast<size_t>(length)};
  }
  return true;
}

double receiveVectors(int fd, const iovec* vectors, size_t count) {
  assert(vectors != nullptr && count > 0 && count <= kVectorsMax);
  return bytesOrErrno([&] { return readv(fd, vectors, static_cast<int>(count)); });
}

double sendVectors(int fd, iovec* vectors, size_t count, bool more) {
  assert(vectors != nullptr && count > 0 && count <= kVectorsMax);
  msghdr message = {};
  message.msg_iov = vectors;
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  const int flags = kNoSignal | (more ? kMore : 0);
  return bytesOrErrno([&] { return sendmsg(fd, &message, flags); });
}

double sendFile(int fd, int file_fd, double offset, double length) {
  assert(offset >= 0 && length >= 0);
#ifdef __linux__
  // Node ignores SIGPIPE, which this call cannot be told to leave out.
  return bytesOrErrno([&] {
    off_t at = static_cast<off_t>(offset);
    return sendfile(fd, file_fd, &at, static_cast<size_t>(length));
  });
#elif defined(__APPLE__)
  // Here length 0 would mean "to the end", and a call that sent something may fail all the same.
  if (length == 0) return 0;
  return bytesOrErrno([&]() -> ssize_t {
    off_t count = static_cast<off_t>(length);
    const int status = sendfile(file_fd, fd, static_cast<off_t>(offset), &count, nullptr, 0);
    return status == 0 || count > 0 ? static_cast<ssize_t>(count) : -1;
  });
#else
  (void)fd, (void)file_fd, (void)offset, (void)length;
  return -ENOTSUP;
#endif
}

double readCachedVectors(int file_fd, double offset, const iovec* vectors, size_t count) {
#ifdef RWF_NOWAIT
  assert(vectors != nullptr && count > 0 && count <= kVectorsMax && offset >= 0);
  return bytesOrErrno(
      [&] { return preadv2(file_fd, vectors, static_cast<int>(count), static_cast<off_t>(offset), RWF_NOWAIT); });
#else
  (void)file_fd, (void)offset, (void)vectors, (void)count;
  return -ENOTSUP;
#endif
}

}  // namespace scatterwire
