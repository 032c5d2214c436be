// See sockets.h.
#include "net/sockets.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#if defined(__linux__)
#include <linux/sockios.h>
#endif

#include <cassert>
#include <cerrno>

namespace scatterwire {

namespace {

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_storage storage;
};

// False if `host` is not a numeric address.
bool parseAddress(const std::string& host, int port, AnyAddress* address, socklen_t* length) {
  assert(port >= 0 && port <= 65535);
  *address = {};
  *length = sizeof(address->v4);
  if (uv_ip4_addr(host.c_str(), port, &address->v4) == 0) return true;
  *address = {};
  *length = sizeof(address->v6);
  return uv_ip6_addr(host.c_str(), port, &address->v6) == 0;
}

int formatAddress(const AnyAddress& from, socklen_t length, SocketAddress* address) {
  if (from.any.sa_family != AF_INET && from.any.sa_family != AF_INET6) return -EAFNOSUPPORT;
  char host[NI_MAXHOST];
  // getnameinfo and not inet_ntop: it adds the zone to a link-local address.
  if (getnameinfo(&from.any, length, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) return -EINVAL;
  assert(length <= sizeof(from) && host[0] != '\0');
  address->host = host;
  // The port is at the same place in both.
  address->port = ntohs(from.v4.sin_port);
  return 0;
}

int setOption(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

// What the system does not do in the call that makes the socket.
int prepare(int fd) {
  assert(fd >= 0);
#ifndef __linux__
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
#endif
#ifdef SO_NOSIGPIPE
  return setOption(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#else
  (void)fd;
  return 0;
#endif
}

int closeWith(int fd, int error) {
  assert(fd >= 0 && error < 0);
  close(fd);
  return error;
}

int openSocket(int family) {
  assert(family == AF_INET || family == AF_INET6);
#ifdef __linux__
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
  const int fd = socket(family, SOCK_STREAM, 0);
#endif
  if (fd < 0) return -errno;
  const int result = prepare(fd);
  return result < 0 ? closeWith(fd, result) : fd;
}

int bindOutgoing(int fd, sa_family_t family, const std::string& source) {
  assert(fd >= 0);
  AnyAddress address;
  socklen_t length;
  if (!parseAddress(source, 0, &address, &length)) return -EINVAL;
  if (address.any.sa_family != family) return -EAFNOSUPPORT;
#ifdef IP_BIND_ADDRESS_NO_PORT
  // The port is chosen with the far end known: many connections may share one. Where the kernel knows no such option each takes a port.
  setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
#endif
  return bind(fd, &address.any, length) == 0 ? 0 : -errno;
}

using AddressCall = int (*)(int, sockaddr*, socklen_t*);

int addressOf(int fd, AddressCall call, SocketAddress* address) {
  assert(call != nullptr && address != nullptr);
  AnyAddress found = {};
  socklen_t length = sizeof(found);
  if (call(fd, &found.any, &length) < 0) return -errno;
  assert(length <= sizeof(found));
  return formatAddress(found, length, address);
}

}  // namespace

int listenSocket(const std::string& host, int port, int backlog) {
  assert(backlog >= 0);
  AnyAddress address;
  socklen_t length;
  if (!parseAddress(host, port, &address, &length)) return -EINVAL;
  const int fd = openSocket(address.any.sa_family);
  if (fd < 0) return fd;
  int result = setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // "::" is IPv6 only, whatever the machine's default: whoever wants both listens at both.
  if (result == 0 && address.any.sa_family == AF_INET6) result = setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (result < 0) return closeWith(fd, result);
  if (bind(fd, &address.any, length) < 0 || listen(fd, backlog) < 0) return closeWith(fd, -errno);
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
  if (fd < 0) return -errno;
  const int result = prepare(fd);
  if (result < 0) return closeWith(fd, result);
  // The peer may be gone already; then the first receive tells.
  setNoDelay(fd, true);
  return fd;
}

int connectSocket(const std::string& host, int port, const std::string& source) {
  AnyAddress address;
  socklen_t length;
  if (!parseAddress(host, port, &address, &length)) return -EINVAL;
  const int fd = openSocket(address.any.sa_family);
  if (fd < 0) return fd;
  int result = setNoDelay(fd, true);
  if (result == 0 && !source.empty()) result = bindOutgoing(fd, address.any.sa_family, source);
  assert(result <= 0);
  if (result < 0) return closeWith(fd, result);
  if (connect(fd, &address.any, length) == 0) return fd;
  // Interrupted or in progress, it goes on by itself.
  return errno == EINPROGRESS || errno == EINTR ? fd : closeWith(fd, -errno);
}

int socketError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
  assert(error >= 0 && length == sizeof(error));
  return -error;
}

int localAddress(int fd, SocketAddress* address) { return addressOf(fd, getsockname, address); }

int remoteAddress(int fd, SocketAddress* address) { return addressOf(fd, getpeername, address); }

int setBufferSizes(int fd, int receive_bytes, int send_bytes) {
  assert(receive_bytes >= 0 && send_bytes >= 0);
  int result = 0;
  if (receive_bytes > 0) result = setOption(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
  if (result == 0 && send_bytes > 0) result = setOption(fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
  return result;
}

int setNoDelay(int fd, bool on) { return setOption(fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0); }

int setReceiveLowWater(int fd, int bytes) {
  assert(bytes >= 1);
  return setOption(fd, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

int setUnsentBytesMax(int fd, int bytes) {
  assert(bytes >= 1);
#ifdef TCP_NOTSENT_LOWAT
  return setOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
#else
  (void)fd;
  return -ENOTSUP;
#endif
}

int discardUnsentAtClose(int fd) {
  const linger none = {1, 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0 ? 0 : -errno;
}

int unacknowledgedBytes(int fd) {
  int bytes = 0;
#if defined(__linux__)
  if (ioctl(fd, SIOCOUTQ, &bytes) < 0) return -errno;
#elif defined(SO_NWRITE)
  socklen_t length = sizeof(bytes);
  if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &bytes, &length) < 0) return -errno;
#else
  return -ENOTSUP;
#endif
  assert(bytes >= 0);
  return bytes;
}

}  // namespace scatterwire
