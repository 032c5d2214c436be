// What an engine is besides its JavaScript object: memory, readiness, jobs, and the handles on the loop that deliver
// what happened with one call into JavaScript per turn.
//
// Always: it outlives its JavaScript object until every libuv handle is closed and every job has ended, then deletes
// itself. After shutDown() JavaScript is not called any more.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>

#include "address_space.h"
#include "file_jobs.h"
#include "readiness.h"

namespace scatterwire {

struct EngineSizes {
  size_t plan_entries = 0;
  size_t ready_entries = 0;
  size_t completion_entries = 0;
  size_t job_words = 0;
};

class EngineCore {
 public:
  EngineCore(Napi::Env env, uv_loop_t* loop, std::shared_ptr<SlabMemory> slab, const EngineSizes& sizes,
             EngineCore** owner);

  void onReady(Napi::Function callback);
  // The JavaScript object goes first: nobody is told any more when this is gone.
  void abandon() { owner_ = nullptr; }
  // Ends everything. Safe to call more than once, and during the teardown of the environment.
  void shutDown();
  bool isShutDown() const { return shut_down_; }
  // Jobs whose completion JavaScript has not seen.
  size_t jobsPending() const { return jobs.running() + jobs.completed(); }
  // A socket is closed: its entry in the list that JavaScript is reading now must not be mistaken for a new one's.
  void forgetSocket(int fd);

  std::shared_ptr<AddressSpace> space;
  Readiness readiness;
  FileJobs jobs;
  // Memory of the typed arrays that JavaScript sees; `arrays` keeps them alive.
  double* plan = nullptr;
  int32_t* ready = nullptr;
  double* words = nullptr;
  double* completions = nullptr;
  Napi::ObjectReference arrays;
  const EngineSizes sizes;

 private:
  ~EngineCore() = default;
  static void onCheck(uv_check_t* check);
  static void onHandleClosed(uv_handle_t* handle);
  static void onCleanup(napi_async_cleanup_hook_handle handle, void* data);
  void deliver();
  void maybeDelete();

  napi_env env_;
  // Where the JavaScript object keeps its pointer to this; emptied when this deletes itself first.
  EngineCore** owner_;
  uv_check_t check_;
  // Runs while more is left than one delivery holds, so that the loop does not sleep on it.
  uv_idle_t idle_;
  bool idle_runs_ = false;
  int loop_handles_ = 2;
  Napi::FunctionReference callback_;
  napi_async_context async_context_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  size_t ready_delivered_ = 0;
  bool shut_down_ = false;
};

}  // namespace scatterwire
