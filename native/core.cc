// See core.h.
#include "core.h"

#include <cassert>
#include <cstdint>

namespace scatterwire {

namespace {

// Doubles first, so that all of them are aligned.
Tables layOut(char* base, const EngineSizes& sizes) {
  assert(reinterpret_cast<uintptr_t>(base) % alignof(double) == 0);
  Tables tables;
  tables.plan = reinterpret_cast<double*>(base);
  tables.completions = tables.plan + 2 * sizes.plan_entries;
  tables.jobs = tables.completions + 2 * sizes.completion_entries;
  tables.costs = tables.jobs + sizes.job_words;
  tables.ready = reinterpret_cast<int32_t*>(tables.costs + kCosts);
  assert(reinterpret_cast<char*>(tables.ready + 2 * sizes.ready_entries) == base + tableBytes(sizes));
  return tables;
}

bool isDetached(const Napi::Reference<Napi::ArrayBuffer>& buffer) { return buffer.Value().IsDetached(); }

}  // namespace

Core::Core(Napi::Env env, uv_loop_t* loop, const EngineSizes& sizes, const SharedBuffer& slab,
           const SharedBuffer& tables)
    : env_(env),
      loop_(loop),
      sizes_(sizes),
      slab_memory_(slab.memory),
      table_memory_(tables.memory),
      slab_buffer_(Napi::Persistent(slab.buffer)),
      table_buffer_(Napi::Persistent(tables.buffer)),
      tables_(layOut(tables.memory->data(), sizes)),
      costs_(tables_.costs),
      space_(slab.memory),
      readiness_(
          loop, tables_.ready, sizes.ready_entries, [](void* core) { static_cast<Core*>(core)->leaveIfDone(); }, this),
      jobs_(
          loop, &space_, &costs_, [](void* core) { static_cast<Core*>(core)->closeJobsIfDone(); }, this),
      context_(std::in_place, env, "scatterwire") {
  assert(tables.memory->size() >= tableBytes(sizes));
}

bool Core::start() {
  assert(!jobs_open_ && handles_open_ == 0 && self_ == nullptr);
  if (napi_add_async_cleanup_hook(env_, onTeardown, this, &teardown_) != napi_ok) return false;
  uv_check_init(loop_, &check_);
  uv_idle_init(loop_, &idle_);
  check_.data = this;
  idle_.data = this;
  jobs_.open();
  jobs_open_ = true;
  handles_open_ = 3;
  uv_check_start(&check_, [](uv_check_t* check) { static_cast<Core*>(check->data)->deliver(); });
  // Sockets that are watched and jobs that run keep the process alive; an engine alone does not.
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  self_ = shared_from_this();
  return true;
}

void Core::onReady(Napi::Function callback) {
  callback_ = Napi::Persistent(callback);
  // Completions that came before there was somebody to tell need a turn of the loop.
  if (jobs_.completed()) uv_idle_start(&idle_, [](uv_idle_t*) {});
}

bool Core::detached() const {
  return (!slab_memory_->mapped() && isDetached(slab_buffer_)) ||
         (!table_memory_->mapped() && isDetached(table_buffer_));
}

void Core::deliver() {
  if (callback_.IsEmpty()) {
    uv_idle_stop(&idle_);
    return;
  }
  if (!readiness_.waiting() && !jobs_.completed()) return;
  // The callback may close the engine and drop the last reference to it.
  const std::shared_ptr<Core> self = shared_from_this();
  Napi::HandleScope scope(env_);
  if (detached()) return;
  const size_t ready_count = readiness_.deliver();
  const size_t completion_count = jobs_.deliver(tables_.completions, sizes_.completion_entries);
  assert(ready_count <= sizes_.ready_entries && completion_count <= sizes_.completion_entries);
  if (readiness_.waiting() || jobs_.completed()) {
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
  if (ready_count + completion_count > 0) callBack(ready_count, completion_count);
  readiness_.delivered();
}

void Core::callBack(size_t ready_count, size_t completion_count) {
  napi_value counts[2];
  napi_create_uint32(env_, static_cast<uint32_t>(ready_count), &counts[0]);
  napi_create_uint32(env_, static_cast<uint32_t>(completion_count), &counts[1]);
  napi_value result;
  const napi_status status = napi_make_callback(env_, *context_, env_.Global(), callback_.Value(), 2, counts, &result);
  if (status == napi_ok) return;
  // What the callback throws is an uncaught exception of the process. Nothing is pending if JavaScript was stopped.
  bool pending = false;
  napi_value exception;
  if (napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env_, &exception) == napi_ok) {
    napi_fatal_exception(env_, exception);
  }
}

void Core::shutdown() {
  if (closed_) return;
  closed_ = true;
  const std::shared_ptr<Core> self = shared_from_this();
  callback_.Reset();
  readiness_.closeAll();
  jobs_.cancel();
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), onHandleClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), onHandleClosed);
  closeJobsIfDone();
}

// The way back from our threads stays open until they have nothing of ours any more.
void Core::closeJobsIfDone() {
  if (!closed_ || !jobs_open_ || jobs_.running() > 0) return;
  jobs_open_ = false;
  jobs_.close(onHandleClosed, this);
  dropMemory();
}

// The environment ends and waits for the hook to be removed. JavaScript is not called any more.
void Core::onTeardown(napi_async_cleanup_hook_handle, void* core) { static_cast<Core*>(core)->shutdown(); }

void Core::onHandleClosed(uv_handle_t* handle) {
  Core* core = static_cast<Core*>(handle->data);
  assert(core->closed_ && core->handles_open_ > 0);
  core->handles_open_--;
  core->leaveIfDone();
}

void Core::dropMemory() {
  assert(jobs_.running() == 0);
  space_.unmapAll();
  jobs_.closeDigests();
  slab_buffer_.Reset();
  table_buffer_.Reset();
  slab_memory_->discard();
}

void Core::leaveIfDone() {
  if (!closed_ || handles_open_ > 0 || readiness_.handlesOpen() > 0) return;
  assert(!jobs_open_);
  // Not before: the callback that closed the engine was still running in it.
  context_.reset();
  napi_remove_async_cleanup_hook(teardown_);
  // Perhaps the last reference: nothing may follow.
  self_.reset();
}

}  // namespace scatterwire
