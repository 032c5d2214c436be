// What a folder has under some names, looked up in one call: a hundred thousand files, one by one, would make as many objects of several
// hundred bytes each.
//
// Always: a word is written for each name that is looked up, and for no other; no descriptor stays open.
#pragma once

#include <cstddef>
#include <string>

namespace scatterwire {

// For each name: bytes, milliseconds since 1970 of the last change, device, inode. Bytes are -1 for what is no regular file, cannot be
// looked at, or (with `opening`) cannot be opened to be read: who wants to know why looks at that one by itself. LOOK_WORDS of binding.ts.
constexpr size_t kLookWords = 4;

// `names` has a zero behind each. Looks up as many of them as there is room for; how many.
size_t lookAtFiles(const std::string& folder, const std::string& names, double* found, size_t room, bool opening);

}  // namespace scatterwire
