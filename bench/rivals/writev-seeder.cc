// Two things in one, for both are a seeder in as few instructions as there may be: the load that downloads are measured with,
// and what seeding costs at the least. It maps one file and answers requests with `writev` of a header and the mapping; it
// trusts its leechers, chokes nobody and takes in no other message. Plain BitTorrent on the wire.
//
// usage: writev-seeder FILE PIECE_LENGTH INFO_HASH
//
// It prints {"port":N} when leechers may connect. For a line "HOST PORT COUNT idle|seed" on standard input it connects COUNT
// times, each time from another address of 127.0.0.0/16, because many programs take one connection per address; an idle
// connection shakes hands and says no more. It prints {"open":COUNT} when all have shaken hands, and ends with its input. A
// fifth word BYTES makes it print {"sent":BYTES} when it has sent so many.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

namespace {

constexpr std::size_t kHandshakeBytes = 68;
constexpr std::size_t kHeaderBytes = 13;
constexpr std::uint32_t kRequestLength = 13;
constexpr std::uint8_t kRequestId = 6;
constexpr std::uint8_t kPieceId = 7;
constexpr std::size_t kBlocksPerCall = 32;
constexpr std::size_t kInputBytes = 64 * 1024;

struct Data {
  std::uint8_t const* bytes;
  std::uint64_t length;
  std::uint64_t piece_length;
  std::uint8_t info_hash[20];
};

/** Connections of the command under way that have not shaken hands, and how many it has. */
int handshakes_missing = 0;
int connections_wanted = 0;
/** Bytes sent, headers of blocks included, and how many are to be told of; 0: none. */
std::int64_t bytes_sent = 0;
std::int64_t bytes_to_tell = 0;

[[noreturn]] void fail(char const* what) {
  std::perror(what);
  std::exit(1);
}

std::uint32_t read_u32(std::uint8_t const* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

void write_u32(std::uint8_t* at, std::uint32_t value) {
  for (int index = 0; index < 4; index++) at[index] = static_cast<std::uint8_t>(value >> (24 - 8 * index));
}

/** A block that was asked for: its header is made when the request comes, its payload is the mapping. */
struct Block {
  std::uint8_t header[kHeaderBytes];
  std::uint8_t const* payload;
  std::size_t length;
};

class Leecher {
 public:
  enum class Kind { incoming, outgoing, idle };

  Leecher(int socket, Data const& data, Kind kind) : socket_(socket), data_(data), kind_(kind) {
    if (kind != Kind::incoming) shake_hands();
  }
  Leecher(Leecher const&) = delete;
  ~Leecher() { close(socket_); }

  /** Takes in all that is there and answers it. False when the leecher has gone. */
  bool serve() {
    for (;;) {
      ssize_t const count = read(socket_, input_ + filled_, kInputBytes - filled_);
      if (count == 0) return false;
      if (count < 0) return errno == EAGAIN && flush();
      filled_ += static_cast<std::size_t>(count);
      if (!take_in() || !flush()) return false;
    }
  }

 private:
  bool take_in() {
    std::size_t at = 0;
    if (!greeted_) {
      if (filled_ < kHandshakeBytes) return true;
      greet();
      at = kHandshakeBytes;
    }
    while (filled_ - at >= 4) {
      std::uint32_t const length = read_u32(input_ + at);
      // All that a leecher says is shorter than this.
      if (length > kInputBytes / 2) return false;
      if (filled_ - at < 4 + length) break;
      if (length == kRequestLength && input_[at + 4] == kRequestId && !accept(input_ + at + 5)) return false;
      at += 4 + length;
    }
    std::memmove(input_, input_ + at, filled_ - at);
    filled_ -= at;
    return true;
  }

  void shake_hands() {
    std::uint8_t hello[kHandshakeBytes] = {19};
    std::memcpy(hello + 1, "BitTorrent protocol", 19);
    std::memcpy(hello + 28, data_.info_hash, sizeof data_.info_hash);
    std::memcpy(hello + 48, "-WV0100-", 8);
    // Every connection is another peer.
    static std::uint32_t serial = 0;
    write_u32(hello + 64, ++serial);
    say(hello, sizeof hello);
  }

  /** The leecher's handshake came: ours, all pieces, and unchoke, small enough for any socket buffer. */
  void greet() {
    greeted_ = true;
    if (kind_ == Kind::incoming) shake_hands();
    else if (--handshakes_missing == 0) {
      std::printf("{\"open\":%d}\n", connections_wanted);
      std::fflush(stdout);
    }
    if (kind_ == Kind::idle) return;
    std::size_t const pieces = static_cast<std::size_t>((data_.length + data_.piece_length - 1) / data_.piece_length);
    std::size_t const bitfield = (pieces + 7) / 8;
    std::vector<std::uint8_t> hello(5 + bitfield + 5, 0xff);
    std::uint8_t* at = hello.data();
    write_u32(at, static_cast<std::uint32_t>(1 + bitfield));
    at[4] = 5;
    if (pieces % 8 != 0) at[5 + bitfield - 1] = static_cast<std::uint8_t>(0xff << (8 - pieces % 8));
    at += 5 + bitfield;
    write_u32(at, 1);
    at[4] = 1;
    say(hello.data(), hello.size());
  }

  void say(std::uint8_t const* bytes, std::size_t length) {
    // A leecher that has gone already is noticed when it is read from.
    if (send(socket_, bytes, length, MSG_NOSIGNAL) != static_cast<ssize_t>(length) && errno == EAGAIN) fail("greeting");
  }

  bool accept(std::uint8_t const* body) {
    std::uint32_t const piece = read_u32(body);
    std::uint32_t const begin = read_u32(body + 4);
    std::uint32_t const length = read_u32(body + 8);
    std::uint64_t const offset = piece * data_.piece_length + begin;
    if (offset > data_.length || length > data_.length - offset) return false;
    Block& block = blocks_.emplace_back();
    write_u32(block.header, 9 + length);
    block.header[4] = kPieceId;
    write_u32(block.header + 5, piece);
    write_u32(block.header + 9, begin);
    block.payload = data_.bytes + offset;
    block.length = length;
    return true;
  }

  bool flush() {
    while (!blocks_.empty()) {
      iovec parts[2 * kBlocksPerCall];
      int count = 0;
      std::size_t skip = sent_of_first_;
      for (Block& block : blocks_) {
        // A block that was sent in part takes one place, so an odd number of places may be left.
        if (count + 2 > 2 * static_cast<int>(kBlocksPerCall)) break;
        add(parts, count, block.header, kHeaderBytes, skip);
        add(parts, count, const_cast<std::uint8_t*>(block.payload), block.length, skip);
      }
      ssize_t const written = writev(socket_, parts, count);
      if (written < 0) return errno == EAGAIN;
      count_sent(written);
      sent_of_first_ += static_cast<std::size_t>(written);
      while (!blocks_.empty() && sent_of_first_ >= kHeaderBytes + blocks_.front().length) {
        sent_of_first_ -= kHeaderBytes + blocks_.front().length;
        blocks_.pop_front();
      }
    }
    return true;
  }

  static void count_sent(ssize_t written) {
    bytes_sent += written;
    if (bytes_to_tell == 0 || bytes_sent < bytes_to_tell) return;
    std::printf("{\"sent\":%lld}\n", static_cast<long long>(bytes_to_tell));
    std::fflush(stdout);
    bytes_to_tell = 0;
  }

  static void add(iovec* parts, int& count, std::uint8_t* at, std::size_t length, std::size_t& skip) {
    std::size_t const skipped = skip < length ? skip : length;
    skip -= skipped;
    if (skipped < length) parts[count++] = {at + skipped, length - skipped};
  }

  int const socket_;
  Data const& data_;
  Kind const kind_;
  bool greeted_ = false;
  std::size_t filled_ = 0;
  std::size_t sent_of_first_ = 0;
  std::deque<Block> blocks_;
  std::uint8_t input_[kInputBytes];
};

Data map_file(char const* path, char const* piece_length, char const* info_hash) {
  int const file = open(path, O_RDONLY);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) fail(path);
  auto const length = static_cast<std::uint64_t>(status.st_size);
  // MAP_POPULATE: the pages are there before the first leecher is, as in a seeder that has been running for a while.
  void* const bytes = mmap(nullptr, length, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  if (bytes == MAP_FAILED) fail("mmap");
  Data data{static_cast<std::uint8_t const*>(bytes), length, std::strtoull(piece_length, nullptr, 10), {}};
  for (std::size_t index = 0; index < sizeof data.info_hash; index++) {
    unsigned byte = 0;
    if (std::sscanf(info_hash + 2 * index, "%2x", &byte) != 1) fail("an info hash of 40 hexadecimal digits");
    data.info_hash[index] = static_cast<std::uint8_t>(byte);
  }
  return data;
}

int listen_anywhere() {
  int const listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 128) != 0) fail("listen");
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  std::printf("{\"port\":%d}\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

void watch(int poller, int file, void* what, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = what;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) != 0) fail("epoll_ctl");
}

void add_leecher(int poller, int socket, Data const& data, Leecher::Kind kind) {
  int const yes = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  // Edges, so that a socket that can be written to wakes nobody: serve() goes on until both ways would block.
  watch(poller, socket, new Leecher(socket, data, kind), EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP);
}

/** On loopback a connection stands when the call returns: there is nothing to gain from not waiting. */
void connect_to(int poller, Data const& data, char const* host, int port, int count, bool idle) {
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host, &there.sin_addr) != 1) fail(host);
  connections_wanted = handshakes_missing = count;
  for (int index = 0; index < count; index++) {
    int const socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<std::uint32_t>(index));
    if (socket < 0 || bind(socket, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0) fail("bind");
    if (connect(socket, reinterpret_cast<sockaddr*>(&there), sizeof there) != 0) fail("connect");
    fcntl(socket, F_SETFL, O_NONBLOCK);
    add_leecher(poller, socket, data, idle ? Leecher::Kind::idle : Leecher::Kind::outgoing);
  }
}

/** One command per line, and one line per reading: whoever gives them waits for the answer. */
void obey(int poller, Data const& data) {
  char line[256] = {};
  if (read(STDIN_FILENO, line, sizeof line - 1) <= 0) std::exit(0);
  char host[64] = {};
  char what[8] = {};
  int port = 0;
  int count = 0;
  long long tell = 0;
  if (std::sscanf(line, "%63s %d %d %7s %lld", host, &port, &count, what, &tell) < 4) {
    std::fprintf(stderr, "writev-seeder: not a command: %s\n", line);
    std::exit(2);
  }
  bytes_to_tell = tell;
  connect_to(poller, data, host, port, count, std::strcmp(what, "idle") == 0);
}

void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: writev-seeder FILE PIECE_LENGTH INFO_HASH\n");
    return 2;
  }
  allow_many_files();
  signal(SIGPIPE, SIG_IGN);
  Data const data = map_file(argv[1], argv[2], argv[3]);
  int const listener = listen_anywhere();
  int const poller = epoll_create1(0);
  int input_tag = 0;
  watch(poller, listener, nullptr, EPOLLIN);
  watch(poller, STDIN_FILENO, &input_tag, EPOLLIN);
  for (;;) {
    epoll_event events[64];
    int const count = epoll_wait(poller, events, 64, -1);
    for (int index = 0; index < count; index++) {
      void* const what = events[index].data.ptr;
      if (what == &input_tag) {
        obey(poller, data);
      } else if (what == nullptr) {
        int const socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (socket >= 0) add_leecher(poller, socket, data, Leecher::Kind::incoming);
      } else {
        auto* const leecher = static_cast<Leecher*>(what);
        if (!leecher->serve()) delete leecher;
      }
    }
  }
}
