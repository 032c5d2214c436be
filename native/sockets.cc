#include "sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace scatterwire {

namespace {

struct NumericAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;
  int family = AF_UNSPEC;
};

// False if `host` is not a numeric address.
bool parseAddress(const std::string& host, int port, NumericAddress* address) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address->storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address->storage);
  if (port < 0 || port > 65535) return false;
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    address->length = sizeof(sockaddr_in);
    address->family = AF_INET;
    return true;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    address->length = sizeof(sockaddr_in6);
    address->family = AF_INET6;
    return true;
  }
  return false;
}

int formatAddress(const sockaddr_storage& storage, SocketAddress* address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    address->port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    address->port = ntohs(v6.sin6_port);
  } else {
    return -EAFNOSUPPORT;
  }
  address->host = text;
  return 0;
}

int setOption(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

// Non-blocking and closed on exec, whatever the platform can do in one call.
int prepare(int fd) {
#ifndef __linux__
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
#endif
#ifdef SO_NOSIGPIPE
  const int result = setOption(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
  if (result < 0) return result;
#endif
  (void)fd;
  return 0;
}

int openSocket(int family) {
#ifdef __linux__
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
  const int fd = socket(family, SOCK_STREAM, 0);
#endif
  if (fd < 0) return -errno;
  const int result = prepare(fd);
  if (result < 0) {
    close(fd);
    return result;
  }
  return fd;
}

int closeWith(int fd, int error) {
  close(fd);
  return error;
}

}  // namespace

int listenSocket(const std::string& host, int port, int backlog) {
  NumericAddress address;
  if (!parseAddress(host, port, &address)) return -EINVAL;
  const int fd = openSocket(address.family);
  if (fd < 0) return fd;
  int result = setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // "::" means IPv6 only: whoever wants both listens at both.
  if (result == 0 && address.family == AF_INET6) result = setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (result < 0) return closeWith(fd, result);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address.storage), address.length) < 0) return closeWith(fd, -errno);
  if (listen(fd, backlog) < 0) return closeWith(fd, -errno);
  return fd;
}

int acceptSocket(int listener) {
  int fd;
  do {
#ifdef __linux__
    fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    fd = accept(listener, nullptr, nullptr);
#endif
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  const int result = prepare(fd);
  if (result < 0) return closeWith(fd, result);
  // A peer may be gone already; then the first receive tells.
  setNoDelay(fd, true);
  return fd;
}

int connectSocket(const std::string& host, int port) {
  NumericAddress address;
  if (!parseAddress(host, port, &address)) return -EINVAL;
  const int fd = openSocket(address.family);
  if (fd < 0) return fd;
  const int result = setNoDelay(fd, true);
  if (result < 0) return closeWith(fd, result);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address.storage), address.length) == 0) return fd;
  // Interrupted or in progress, it goes on by itself.
  return errno == EINPROGRESS || errno == EINTR ? fd : closeWith(fd, -errno);
}

int socketError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
  return -error;
}

int localAddress(int fd, SocketAddress* address) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) < 0) return -errno;
  return formatAddress(storage, address);
}

int remoteAddress(int fd, SocketAddress* address) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) < 0) return -errno;
  return formatAddress(storage, address);
}

int setBufferSizes(int fd, int receive_bytes, int send_bytes) {
  int result = 0;
  if (receive_bytes > 0) result = setOption(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
  if (result == 0 && send_bytes > 0) result = setOption(fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
  return result;
}

int setNoDelay(int fd, bool on) { return setOption(fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0); }

}  // namespace scatterwire
