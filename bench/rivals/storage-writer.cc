// What storing costs at the least: writes a file of so many bytes, in runs of 1 MiB from memory that is in the cache; nothing is
// received or hashed. Prints one JSON object.
//
// usage: storage-writer FILE BYTES direct|buffered
//
//   direct     what the disk itself can do: with O_DIRECT, four runs in flight, into space that was reserved, until the disk
//              has it
//   buffered   what a memory file system, or the page cache, takes for the copy and for its pages: one run after the other

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr std::int64_t kRunBytes = 1 << 20;
constexpr int kDirectRunsInFlight = 4;

[[noreturn]] void fail(char const* what) {
  std::perror(what);
  std::exit(1);
}

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double seconds_of(timeval const& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void write_runs(int file, std::int64_t runs, std::atomic<std::int64_t>& next) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, kRunBytes) != 0) fail("posix_memalign");
  std::memset(memory, 0x5c, kRunBytes);
  for (std::int64_t run = next++; run < runs; run = next++) {
    if (pwrite(file, memory, kRunBytes, run * kRunBytes) != kRunBytes) fail("pwrite");
  }
  std::free(memory);
}

}  // namespace

int main(int argc, char** argv) {
  bool const direct = argc == 4 && std::strcmp(argv[3], "direct") == 0;
  if (argc != 4 || (!direct && std::strcmp(argv[3], "buffered") != 0)) {
    std::fprintf(stderr, "usage: storage-writer FILE BYTES direct|buffered\n");
    return 2;
  }
  std::int64_t const runs = std::atoll(argv[2]) / kRunBytes;
  int const runs_in_flight = direct ? kDirectRunsInFlight : 1;
  int const file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | (direct ? O_DIRECT : 0), 0600);
  if (file < 0) fail(argv[1]);
  double const started = seconds_of(CLOCK_MONOTONIC);
  if (direct && posix_fallocate(file, 0, runs * kRunBytes) != 0) fail("posix_fallocate");
  std::atomic<std::int64_t> next{0};
  std::vector<std::thread> writers;
  for (int index = 0; index < runs_in_flight; index++) writers.emplace_back([&] { write_runs(file, runs, next); });
  for (std::thread& writer : writers) writer.join();
  if (direct && fdatasync(file) != 0) fail("fdatasync");
  double const ended = seconds_of(CLOCK_MONOTONIC);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  double const bytes = static_cast<double>(runs * kRunBytes);
  double const user = seconds_of(usage.ru_utime) / (bytes / 1e9);
  double const system = seconds_of(usage.ru_stime) / (bytes / 1e9);
  std::printf(
      "{\"payloadBytes\":%.0f,\"seconds\":%.6f,\"bytesPerSecond\":%.0f,\"userSecondsPerGB\":%.6f,"
      "\"systemSecondsPerGB\":%.6f,\"cpuSecondsPerGB\":%.6f,\"peakRssBytes\":%lld}\n",
      bytes, ended - started, bytes / (ended - started), user, system, user + system,
      static_cast<long long>(usage.ru_maxrss) * 1024);
  return 0;
}
