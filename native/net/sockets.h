// Non-blocking TCP sockets over IPv4 and IPv6. Results are a file descriptor, 0, or a negative errno; nothing throws.
//
// Always: a socket that comes from here is non-blocking, closed on exec, and raises no SIGPIPE; a function that fails
// leaves no socket behind.
#pragma once

#include <string>

namespace scatterwire {

struct SocketAddress {
  std::string host;
  int port = 0;
};

// `host` is a numeric address, an IPv6 one with its zone if it needs one; -EINVAL if it is not.
int listenSocket(const std::string& host, int port, int backlog);
int acceptSocket(int listener);
// `source`: this machine's address to connect from, of the same kind as `host` (-EAFNOSUPPORT if it is of the other); empty: the system
// chooses.
int connectSocket(const std::string& host, int port, const std::string& source);
// SO_ERROR as 0 or a negative errno.
int socketError(int fd);
// 0 or a negative errno; fills `address`.
int localAddress(int fd, SocketAddress* address);
int remoteAddress(int fd, SocketAddress* address);
// 0 for a size leaves it as it is.
int setBufferSizes(int fd, int receive_bytes, int send_bytes);
int setNoDelay(int fd, bool on);
// SO_RCVLOWAT: the socket counts as readable from so many bytes on.
int setReceiveLowWater(int fd, int bytes);
// TCP_NOTSENT_LOWAT: the socket takes no more, and counts as writable no more, while so many bytes wait that have not left; -ENOTSUP where
// nobody bounds that.
int setUnsentBytesMax(int fd, int bytes);
// What is not sent when the socket is closed is dropped then, and the other side finds the connection reset (SO_LINGER of no time).
int discardUnsentAtClose(int fd);
// Bytes that the other side has not acknowledged yet, or a negative errno (-ENOTSUP where nobody tells).
int unacknowledgedBytes(int fd);

}  // namespace scatterwire
