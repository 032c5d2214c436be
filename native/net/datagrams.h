// Datagrams in batches: UDP sockets, and the memory that a batch of datagrams is received into or sent from.
//
// A batch has `entries` entries. Entry i is payload bytes [i × slot_bytes, (i + 1) × slot_bytes), a length, and the address
// at the other end as it stands in packets: 4 words of 32 bits (IPv4: the first word) and a port of 16 bits, all in network
// byte order. Nothing is converted, so whoever copies an address into a payload copies it as it is.
//
// Always: a call touches the first entries of its batch only, and as many as it says. Results are a count or a negative
// errno; nothing throws. A datagram that is longer than a slot keeps its true length in `lengths`, which tells that its
// end is missing. A datagram that cannot be sent never stands in the way of those behind it for ever: send() stops before
// it, and says why when it is the first.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace scatterwire {

constexpr size_t kDatagramEntriesMax = 1024;  // UIO_MAXIOV: what recvmmsg takes
constexpr size_t kDatagramSlotBytesMax = 65536;
constexpr size_t kAddressWords = 4;

struct DatagramOptions {
  bool reuse_port = false;
  int receive_buffer_bytes = 0;  // 0 leaves the system's
  int send_buffer_bytes = 0;
};

// A bound, non-blocking socket or a negative errno (-EINVAL: `host` is no numeric address). An IPv6 one takes IPv6 only.
int bindDatagrams(const std::string& host, int port, const DatagramOptions& options);
// Another descriptor of the same socket, which stays as long as one of them is open; or a negative errno.
int duplicateDatagrams(int fd);
// From here on the socket knows one far end only, whose ICMP errors the next call tells. 0 or a negative errno.
int connectDatagrams(int fd, const std::string& host, int port);

// The tables of a batch, in memory that somebody else keeps.
struct DatagramTables {
  uint8_t* payload = nullptr;
  int32_t* lengths = nullptr;
  uint32_t* addresses = nullptr;
  uint16_t* ports = nullptr;
};

struct DatagramShape {
  size_t entries = 0;
  size_t slot_bytes = 0;
  bool ipv6 = false;      // the family of the sockets it is used with
  bool portable = false;  // one system call for each datagram, as where there is no recvmmsg
};

class DatagramBatch {
 public:
  DatagramBatch(const DatagramTables& tables, const DatagramShape& shape);

  // Takes up to `count` datagrams that wait, into entries 0 and following. -EAGAIN: none waits.
  int receive(int fd, size_t count);
  // Sends entries `first` … `first + count - 1`, each to its address, or without one (port 0) to where the socket is connected
  // to; answers how many the system took. Less than `count`: the next one was refused, and sending it first tells why.
  int send(int fd, size_t first, size_t count);

 private:
  int receiveOne(int fd, size_t entry);
  int receiveTogether(int fd, size_t count);
  int sendOne(int fd, size_t entry);
  int sendTogether(int fd, size_t first, size_t count);
  void readAddress(size_t entry, socklen_t length);
  socklen_t writeAddress(size_t entry);

  DatagramTables tables_;
  size_t entries_;
  size_t slot_bytes_;
  bool ipv6_;
  bool portable_;
  std::vector<sockaddr_in6> addresses_;  // roomy enough for both families
#ifdef __linux__
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> headers_;
#endif
};

}  // namespace scatterwire
