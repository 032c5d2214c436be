// The least there is: a process that shakes hands, keeps requests going by counting bytes, and receives into one buffer what it
// ignores. What any client's first gigabytes are held against, starting included.
//
//   receive-loop INFO-HASH PORT BYTES PIECE-LENGTH     from 127.0.0.1; ends when all bytes have come, with status 0

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr uint32_t kBlock = 16384;
constexpr uint32_t kRequest = 17;
constexpr uint32_t kHeader = 13;
constexpr int kRequestsPerWrite = 64;
constexpr uint64_t kOutstanding = 512ull * kBlock;
constexpr int kReceiveBytes = 256 * 1024;
/** As the engine does it: while much is to come, a wake-up is worth two receives. */
constexpr int kLowWater = 2 * kReceiveBytes;
constexpr int kReceivesPerWake = 4;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void put32(uint8_t* at, uint32_t value) {
  value = htonl(value);
  std::memcpy(at, &value, 4);
}

void send_all(int fd, const uint8_t* bytes, size_t length) {
  while (length > 0) {
    const ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    bytes += sent;
    length -= static_cast<size_t>(sent);
  }
}

void greet(int fd, const char* info_hash) {
  uint8_t hello[68 + 5] = {19};
  std::memcpy(hello + 1, "BitTorrent protocol", 19);
  hello[27] = 0x04;
  for (int index = 0; index < 20; index++) {
    unsigned byte = 0;
    if (std::sscanf(info_hash + 2 * index, "%2x", &byte) != 1) fail("the info hash has 40 digits");
    hello[28 + index] = static_cast<uint8_t>(byte);
  }
  std::memset(hello + 48, 'x', 20);
  put32(hello + 68, 1);
  hello[72] = 2;
  send_all(fd, hello, sizeof hello);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const uint64_t total = std::strtoull(argv[3], nullptr, 10);
  const uint32_t piece_length = static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  greet(fd, argv[1]);

  static uint8_t buffer[kReceiveBytes];
  static uint8_t requests[kRequest * kRequestsPerWrite];
  const uint8_t unchoke[5] = {0, 0, 0, 1, 1};
  bool started = false;
  uint64_t asked = 0, expected = 0, received = 0;
  int low_water = 1;
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  for (;;) {
    if (epoll_wait(poller, &event, 1, -1) < 0) fail("epoll_wait");
    for (int call = 0; call < kReceivesPerWake; call++) {
      const ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got == 0) fail("the seeder ended the stream");
      if (got < 0) break;
      if (started) received += static_cast<uint64_t>(got);
      else started = memmem(buffer, static_cast<size_t>(got), unchoke, sizeof unchoke) != nullptr;
      const uint64_t batch = kRequestsPerWrite * uint64_t{kBlock + kHeader};
      while (started && asked < total && expected - received + batch <= kOutstanding) {
        uint8_t* at = requests;
        for (int index = 0; index < kRequestsPerWrite && asked < total; index++, at += kRequest) {
          const uint32_t length = static_cast<uint32_t>(std::min<uint64_t>(kBlock, total - asked));
          put32(at, 13);
          at[4] = 6;
          put32(at + 5, static_cast<uint32_t>(asked / piece_length));
          put32(at + 9, static_cast<uint32_t>(asked % piece_length));
          put32(at + 13, length);
          asked += length;
          expected += length + kHeader;
        }
        send_all(fd, requests, static_cast<size_t>(at - requests));
      }
      if (asked == total && received >= expected) return 0;
      if (got < kReceiveBytes) break;
    }
    const int wanted = expected - received >= 4ull * kLowWater ? kLowWater : 1;
    if (wanted != low_water) setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
    low_water = wanted;
  }
}
