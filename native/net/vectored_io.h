// System calls over a plan: pairs (address, length) in memory that TypeScript and native code share.
//
// Always: one system call per function, repeated only when a signal interrupts it. Results are bytes or a negative
// errno; no memory is touched that findVectors did not find.
#pragma once

#include <sys/uio.h>

#include <cstddef>

#include "memory/mappings.h"

namespace scatterwire {

constexpr size_t kVectorsMax = 1024;  // IOV_MAX of Linux and macOS; PLAN_ENTRIES_MAX of limits.ts

// Turns `count` pairs into `vectors`. False if one of them names memory that is not there, or not to be written.
bool findVectors(const AddressSpace& space, const double* pairs, size_t count, Access access, iovec* vectors);

double receiveVectors(int fd, const iovec* vectors, size_t count);
double sendVectors(int fd, iovec* vectors, size_t count, bool more);
double sendFile(int fd, int file_fd, double offset, double length);
// Only what is in the page cache: -EAGAIN if the first byte is not, -ENOTSUP where the platform cannot tell.
double readCachedVectors(int file_fd, double offset, const iovec* vectors, size_t count);

}  // namespace scatterwire
