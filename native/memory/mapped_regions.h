// The mapped files of this process, whoever mapped them, and what happens when one is touched where there is no file any more:
// because somebody cut it short, or its disk fails. The system's answer is SIGBUS, which would end the host's process.
//
// Here the signal's handler puts zeros in the place of the rest of the mapping and marks it as damaged; the thread goes on, and
// whoever touched asks afterwards. Signals that come from elsewhere go to whom they went before. The handler is there while
// something is mapped, and no longer.
//
// Always: a region is entered before its memory is touched, and leaves before it is unmapped. `damaged` is set before the
// touch that found it out ends. The number of mappings is bounded: V8 ends the process when it gets none.
#pragma once

#include <cstddef>

namespace scatterwire {

// A quarter of what Linux gives a process unless told otherwise (vm.max_map_count).
constexpr int kMappingsOfProcessMax = 16384;

class MappedRegions {
 public:
  // A number for the region, or -ENOMEM: there are too many.
  static int enter(char* base, size_t length, bool writable);
  static void leave(int region);
  static bool damaged(int region);
};

}  // namespace scatterwire
