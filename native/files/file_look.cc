// See file_look.h.
#include "files/file_look.h"

#include <sys/stat.h>

#include "files/file_calls.h"

namespace scatterwire {

namespace {

// As node:fs computes it.
double modifiedMs(const struct stat& status) {
#ifdef __APPLE__
  const timespec& time = status.st_mtimespec;
#else
  const timespec& time = status.st_mtim;
#endif
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

// False: see kLookWords.
bool look(const char* path, double* found, bool opening) {
  struct stat status = {};
  // A FIFO or a device is not even opened.
  if (stat(path, &status) < 0 || !S_ISREG(status.st_mode)) return false;
  if (opening) {
    const int fd = openRegular(path);
    if (fd < 0) return false;
    closeFile(fd);
  }
  found[0] = static_cast<double>(status.st_size);
  found[1] = modifiedMs(status);
  found[2] = static_cast<double>(status.st_dev);
  found[3] = static_cast<double>(status.st_ino);
  return true;
}

}  // namespace

size_t lookAtFiles(const std::string& folder, const std::string& names, double* found, size_t room, bool opening) {
  std::string path = folder;
  if (path.empty() || path.back() != '/') path += '/';
  const size_t begin = path.size();
  size_t count = 0;
  for (size_t at = 0; at < names.size() && count < room; count++) {
    const char* const name = names.c_str() + at;
    path.replace(begin, std::string::npos, name);
    at += path.size() - begin + 1;
    double* const words = found + kLookWords * count;
    if (!look(path.c_str(), words, opening)) words[0] = -1;
  }
  return count;
}

}  // namespace scatterwire
