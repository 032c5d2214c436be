// What jobs do with files, on a thread of the pool: blocking system calls, repeated until all of it is done.
//
// Always: results are bytes or a negative errno; a failure half-way is a failure. The vectors are used up.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace scatterwire {

// All bytes, or an error.
double writeFully(int fd, double offset, iovec* vectors, size_t count);
// All bytes, or fewer at the end of the file.
double readFully(int fd, double offset, iovec* vectors, size_t count);
// A file to be read, without waiting for anybody: its descriptor, -EINVAL for what is not a regular file, or a negative errno.
int openRegular(const char* path);
// Closes what openRegular() opened.
void closeFile(int fd);
// Reads what the page cache has, and waits for no disk: whether that was all of it. Where there is no such call it is read, and true.
bool readCached(int fd, off_t offset, char* data, size_t length);
// Lets the system begin to read what is not in the page cache yet.
void announceRead(int fd, off_t offset, size_t length);
// Whom else a locked byte keeps away: nobody (it is let go), those who want it for themselves, or everybody.
enum class ByteLock { none, shared, exclusive };
// Locks one byte of a file for this open file, whatever process and thread uses it, or answers -EAGAIN if another open file is in the way.
// 0 or a negative errno. It ends with the last descriptor.
int lockByte(int fd, off_t offset, ByteLock kind);
double allocateFile(int fd, double offset, double length);
double syncFile(int fd);

}  // namespace scatterwire
