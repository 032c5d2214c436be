// See datagrams.h.
#include "net/datagrams.h"

#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace scatterwire {

namespace {

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool parse(const std::string& host, int port, AnyAddress* address, socklen_t* length) {
  assert(port >= 0 && port <= 65535);
  *address = {};
  *length = sizeof(address->v4);
  if (uv_ip4_addr(host.c_str(), port, &address->v4) == 0) return true;
  *address = {};
  *length = sizeof(address->v6);
  return uv_ip6_addr(host.c_str(), port, &address->v6) == 0;
}

int setOption(int fd, int level, int name, int value) {
  assert(fd >= 0);
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

int prepare(int fd, int family, const DatagramOptions& options) {
  assert(fd >= 0 && (family == AF_INET || family == AF_INET6));
  assert(options.receive_buffer_bytes >= 0 && options.send_buffer_bytes >= 0);
#ifndef __linux__
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
#endif
  int result = 0;
  if (family == AF_INET6) result = setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (result == 0 && options.reuse_port) result = setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (result == 0 && options.receive_buffer_bytes > 0) {
    result = setOption(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
  }
  if (result == 0 && options.send_buffer_bytes > 0) {
    result = setOption(fd, SOL_SOCKET, SO_SNDBUF, options.send_buffer_bytes);
  }
  return result;
}

int closeWith(int fd, int error) {
  assert(fd >= 0 && error < 0);
  close(fd);
  return error;
}

}  // namespace

int bindDatagrams(const std::string& host, int port, const DatagramOptions& options) {
  AnyAddress address;
  socklen_t length;
  if (!parse(host, port, &address, &length)) return -EINVAL;
  const int family = address.any.sa_family;
#ifdef __linux__
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
  const int fd = socket(family, SOCK_DGRAM, 0);
#endif
  if (fd < 0) return -errno;
  const int result = prepare(fd, family, options);
  if (result < 0) return closeWith(fd, result);
  return bind(fd, &address.any, length) == 0 ? fd : closeWith(fd, -errno);
}

int duplicateDatagrams(int fd) {
  const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return duplicate < 0 ? -errno : duplicate;
}

int connectDatagrams(int fd, const std::string& host, int port) {
  assert(port > 0);
  AnyAddress address;
  socklen_t length;
  if (!parse(host, port, &address, &length)) return -EINVAL;
  return connect(fd, &address.any, length) == 0 ? 0 : -errno;
}

DatagramBatch::DatagramBatch(const DatagramTables& tables, const DatagramShape& shape)
    : tables_(tables),
      entries_(shape.entries),
      slot_bytes_(shape.slot_bytes),
      ipv6_(shape.ipv6),
      portable_(shape.portable),
      addresses_(shape.entries) {
  assert(entries_ > 0 && entries_ <= kDatagramEntriesMax);
  assert(slot_bytes_ > 0 && slot_bytes_ <= kDatagramSlotBytesMax);
  assert(tables_.payload != nullptr && tables_.lengths != nullptr);
  assert(tables_.addresses != nullptr && tables_.ports != nullptr);
#ifdef __linux__
  vectors_.resize(entries_);
  headers_.resize(entries_);
  for (size_t entry = 0; entry < entries_; entry++) {
    vectors_[entry].iov_base = tables_.payload + entry * slot_bytes_;
    headers_[entry] = {};
    headers_[entry].msg_hdr.msg_iov = &vectors_[entry];
    headers_[entry].msg_hdr.msg_iovlen = 1;
  }
#else
  portable_ = true;
#endif
}

void DatagramBatch::readAddress(size_t entry, socklen_t length) {
  assert(entry < entries_);
  uint32_t* words = tables_.addresses + kAddressWords * entry;
  const sockaddr_in6& v6 = addresses_[entry];
  if (ipv6_ && length >= sizeof(v6)) {
    memcpy(words, &v6.sin6_addr, sizeof(v6.sin6_addr));
    tables_.ports[entry] = v6.sin6_port;
    return;
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&v6);
  const bool known = !ipv6_ && length >= sizeof(sockaddr_in);
  words[0] = known ? v4->sin_addr.s_addr : 0;
  words[1] = words[2] = words[3] = 0;
  tables_.ports[entry] = known ? v4->sin_port : 0;
}

// Bytes of the address, or 0: the socket is connected and knows.
socklen_t DatagramBatch::writeAddress(size_t entry) {
  assert(entry < entries_);
  const uint16_t port = tables_.ports[entry];
  if (port == 0) return 0;
  const uint32_t* words = tables_.addresses + kAddressWords * entry;
  sockaddr_in6& v6 = addresses_[entry];
  if (ipv6_) {
    v6 = {};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = port;
    memcpy(&v6.sin6_addr, words, sizeof(v6.sin6_addr));
    return sizeof(v6);
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&v6);
  *v4 = {};
  v4->sin_family = AF_INET;
  v4->sin_port = port;
  v4->sin_addr.s_addr = words[0];
  return sizeof(*v4);
}

int DatagramBatch::receiveOne(int fd, size_t entry) {
  assert(entry < entries_);
  iovec vector = {tables_.payload + entry * slot_bytes_, slot_bytes_};
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_name = &addresses_[entry];
  header.msg_namelen = sizeof(sockaddr_in6);
  ssize_t bytes;
  do {
    bytes = recvmsg(fd, &header, 0);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return -errno;
  assert(static_cast<size_t>(bytes) <= slot_bytes_);
  // Not every system tells the true length; one byte more than fits says that it was longer.
  const bool truncated = (header.msg_flags & MSG_TRUNC) != 0;
  tables_.lengths[entry] = static_cast<int32_t>(truncated ? slot_bytes_ + 1 : static_cast<size_t>(bytes));
  readAddress(entry, header.msg_namelen);
  return 1;
}

int DatagramBatch::sendOne(int fd, size_t entry) {
  const socklen_t length = writeAddress(entry);
  const auto* address = length == 0 ? nullptr : reinterpret_cast<const sockaddr*>(&addresses_[entry]);
  const size_t bytes = static_cast<size_t>(tables_.lengths[entry]);
  assert(entry < entries_ && bytes <= slot_bytes_);
  ssize_t sent;
  do {
    sent = sendto(fd, tables_.payload + entry * slot_bytes_, bytes, 0, address, length);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 1;
}

int DatagramBatch::receive(int fd, size_t count) {
  assert(count > 0 && count <= entries_);
  if (!portable_) return receiveTogether(fd, count);
  size_t taken = 0;
  while (taken < count) {
    const int result = receiveOne(fd, taken);
    if (result < 0) return taken > 0 ? static_cast<int>(taken) : result;
    taken++;
  }
  return static_cast<int>(taken);
}

int DatagramBatch::send(int fd, size_t first, size_t count) {
  assert(count > 0 && first < entries_ && count <= entries_ - first);
  for (size_t entry = first; entry < first + count; entry++) {
    const int32_t length = tables_.lengths[entry];
    if (length < 0 || static_cast<size_t>(length) > slot_bytes_) return -EMSGSIZE;
  }
  if (!portable_) return sendTogether(fd, first, count);
  for (size_t sent = 0; sent < count; sent++) {
    const int result = sendOne(fd, first + sent);
    if (result < 0) return sent > 0 ? static_cast<int>(sent) : result;
  }
  return static_cast<int>(count);
}

#ifdef __linux__

int DatagramBatch::receiveTogether(int fd, size_t count) {
  assert(count <= headers_.size() && count <= vectors_.size());
  for (size_t entry = 0; entry < count; entry++) {
    vectors_[entry].iov_len = slot_bytes_;
    headers_[entry].msg_hdr.msg_name = &addresses_[entry];
    headers_[entry].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
  }
  int taken;
  do {
    // MSG_TRUNC: the true length, however long the slot.
    taken = recvmmsg(fd, headers_.data(), static_cast<unsigned>(count), MSG_TRUNC, nullptr);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0) return -errno;
  assert(static_cast<size_t>(taken) <= count);
  for (size_t entry = 0; entry < static_cast<size_t>(taken); entry++) {
    tables_.lengths[entry] = static_cast<int32_t>(headers_[entry].msg_len);
    readAddress(entry, headers_[entry].msg_hdr.msg_namelen);
  }
  return taken;
}

int DatagramBatch::sendTogether(int fd, size_t first, size_t count) {
  assert(first + count <= headers_.size());
  for (size_t entry = first; entry < first + count; entry++) {
    vectors_[entry].iov_len = static_cast<size_t>(tables_.lengths[entry]);
    assert(vectors_[entry].iov_len <= slot_bytes_);
    msghdr& header = headers_[entry].msg_hdr;
    header.msg_namelen = writeAddress(entry);
    header.msg_name = header.msg_namelen == 0 ? nullptr : &addresses_[entry];
  }
  int sent;
  do {
    sent = sendmmsg(fd, headers_.data() + first, static_cast<unsigned>(count), 0);
  } while (sent < 0 && errno == EINTR);
  assert(sent < 0 || static_cast<size_t>(sent) <= count);
  return sent < 0 ? -errno : sent;
}

#else

// There the portable way is the only one.
int DatagramBatch::receiveTogether(int, size_t) { return -ENOSYS; }
int DatagramBatch::sendTogether(int, size_t, size_t) { return -ENOSYS; }

#endif

}  // namespace scatterwire
