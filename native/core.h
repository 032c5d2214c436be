// What one engine consists of, apart from its face in JavaScript: memory, sockets, jobs, and its place in the loop.
//
//   poll callbacks ──▶ readiness ─┐
//                                 ├─▶ check handle, once per loop turn ──▶ one call into JavaScript
//   our threads ─────▶ jobs ──────┘
//
// Always: JavaScript is called from the check handle only, at most once per turn, with no more than the shared lists
// hold; what is left over comes next turn, and an idle handle keeps the loop from blocking until then. The core lives
// until libuv has given back all handles and jobs, whatever goes first: close(), the wrapper, or the environment.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>

#include "cost_clocks.h"
#include "engine_sizes.h"
#include "files/file_jobs.h"
#include "memory/mappings.h"
#include "net/readiness.h"
#include "memory/slab.h"
#include "net/vectored_io.h"

namespace scatterwire {

// The shared tables: where each begins in its memory.
struct Tables {
  double* plan = nullptr;
  double* completions = nullptr;
  double* jobs = nullptr;
  double* costs = nullptr;
  int32_t* ready = nullptr;
};

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Napi::Env env, uv_loop_t* loop, const EngineSizes& sizes, const SharedBuffer& slab, const SharedBuffer& tables);
  // Enters the loop. From here on the core keeps itself alive until it has left it again.
  bool start();
  // Closes sockets and leaves the loop as soon as running jobs are done. Memory goes at once, or after those jobs.
  void shutdown();

  bool closed() const { return closed_; }
  // True if JavaScript took away memory that was its own (only where external ArrayBuffers are refused).
  bool detached() const;
  void onReady(Napi::Function callback);

  const EngineSizes& sizes() const { return sizes_; }
  const Tables& tables() const { return tables_; }
  AddressSpace& space() { return space_; }
  Readiness& readiness() { return readiness_; }
  FileJobs& jobs() { return jobs_; }
  const FileJobs& jobs() const { return jobs_; }
  CostClocks& costs() { return costs_; }
  // Room for the vectors of one call, so that the hot path needs no memory of its own.
  iovec* vectors() { return vectors_; }

 private:
  static void onTeardown(napi_async_cleanup_hook_handle handle, void* core);
  static void onHandleClosed(uv_handle_t* handle);
  void deliver();
  void callBack(size_t ready_count, size_t completion_count);
  void dropMemory();
  void closeJobsIfDone();
  void leaveIfDone();

  Napi::Env env_;
  uv_loop_t* loop_;
  EngineSizes sizes_;
  std::shared_ptr<SharedMemory> slab_memory_;
  std::shared_ptr<SharedMemory> table_memory_;
  // References to the ArrayBuffers; they matter where the memory belongs to those.
  Napi::Reference<Napi::ArrayBuffer> slab_buffer_;
  Napi::Reference<Napi::ArrayBuffer> table_buffer_;
  Tables tables_;
  CostClocks costs_;
  AddressSpace space_;
  Readiness readiness_;
  FileJobs jobs_;
  uv_check_t check_ = {};
  uv_idle_t idle_ = {};
  size_t handles_open_ = 0;
  bool jobs_open_ = false;
  napi_async_cleanup_hook_handle teardown_ = nullptr;
  Napi::FunctionReference callback_;
  std::optional<Napi::AsyncContext> context_;
  std::shared_ptr<Core> self_;
  bool closed_ = false;
  iovec vectors_[kVectorsMax];
};

}  // namespace scatterwire
