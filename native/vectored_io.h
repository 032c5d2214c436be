// System calls over a plan: pairs (address, length) in memory that TypeScript and native code share.
//
// Always: one system call per function (repeated only when a signal interrupts it); results are bytes or a negative
// errno. kBadPlan is neither: the plan names memory that is not ours, which is the caller's mistake.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <vector>

#include "address_space.h"

namespace scatterwire {

constexpr double kBadPlan = -1e9;
constexpr size_t kVectorsMax = 1024;

// Translates `count` pairs into `vectors`; false if one of them is bad.
bool translatePlan(const AddressSpace& space, const double* pairs, size_t count, iovec* vectors);

double readVectors(int fd, const iovec* vectors, size_t count);
double writeVectors(int fd, iovec* vectors, size_t count, bool more);
double sendFile(int fd, int file_fd, double offset, double length);
// Only what is in the page cache: -EAGAIN if the first byte is not, -ENOTSUP where the platform cannot tell.
double readCached(int file_fd, double offset, const iovec* vectors, size_t count);

}  // namespace scatterwire
