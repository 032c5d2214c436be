// Reading mapped files once from end to end, on a thread that may wait: announced, fetched a window at a time, let go behind.
//
// Fetching maps many pages at once, where touching them would be a page fault each (or each 16), and it tells of a file that
// has become shorter or a disk that fails by a number, where touching would be a SIGBUS. Letting go keeps the resident set as
// small as the windows; what is let go stays in the page cache.
//
// What remains is a file that another program truncates between the fetch and the touch, within about a millisecond; that
// ends the process, as it does wherever mapped files are touched.
//
// Always: hints, except for fetchMapped. Nothing is touched that it did not promise.
#pragma once

#include <cstddef>

namespace scatterwire {

// Lets the system begin to read what is not in the page cache yet.
void announceMapped(const char* begin, size_t length);
// 0, or the negative errno of why these bytes cannot be read: -EIO, or -ENOTSUP where the system cannot tell.
int fetchMapped(const char* begin, size_t length);

// What was read, until it is let go: many stretches at once, those that touch each other as one. Each call that lets go
// interrupts every processor that runs a thread of this process, which in a virtual machine costs as much as hashing 128 KiB.
class SpentReads {
 public:
  // Lets go of all of them if these are too many, or hold too much.
  void add(const char* begin, size_t length);
  // Whole pages inside. To be called before anybody may unmap them.
  void letGo();

 private:
  struct Stretch {
    const char* begin;
    const char* end;
  };
  static constexpr size_t kStretchesMax = 64;
  static constexpr size_t kBytesMax = size_t{16} << 20;

  Stretch stretches_[kStretchesMax];
  size_t count_ = 0;
  size_t bytes_ = 0;
};

}  // namespace scatterwire
