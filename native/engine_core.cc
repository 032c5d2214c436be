#include "engine_core.h"

namespace scatterwire {

namespace {

// An exception that escapes the callback is the program's own: it goes where uncaught exceptions go.
void reportException(napi_env env) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

}  // namespace

EngineCore::EngineCore(Napi::Env env, uv_loop_t* loop, std::shared_ptr<SlabMemory> slab, const EngineSizes& sizes,
                       EngineCore** owner)
    : space(std::make_shared<AddressSpace>(std::move(slab))),
      readiness(loop, sizes.ready_entries, [](void* core) { static_cast<EngineCore*>(core)->maybeDelete(); }, this),
      jobs(loop, space, [](void* core) { static_cast<EngineCore*>(core)->maybeDelete(); }, this),
      sizes(sizes),
      env_(env),
      owner_(owner) {
  uv_check_init(loop, &check_);
  check_.data = this;
  uv_check_start(&check_, onCheck);
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  uv_idle_init(loop, &idle_);
  idle_.data = this;
  napi_add_async_cleanup_hook(env, onCleanup, this, &cleanup_hook_);
}

void EngineCore::onReady(Napi::Function callback) {
  callback_ = Napi::Persistent(callback);
  if (async_context_ != nullptr) return;
  Napi::Env env(env_);
  napi_async_init(env, Napi::Object::New(env), Napi::String::New(env, "scatterwire"), &async_context_);
}

void EngineCore::onCheck(uv_check_t* check) {
  EngineCore* core = static_cast<EngineCore*>(check->data);
  if (core->readiness.readyCount() > 0 || core->jobs.completed() > 0) core->deliver();
}

void EngineCore::deliver() {
  if (shut_down_ || callback_.IsEmpty()) return;
  Napi::HandleScope scope(env_);
  ready_delivered_ = readiness.take(ready);
  const size_t completed = jobs.take(completions, sizes.completion_entries);
  if (jobs.completed() > 0 && !idle_runs_) {
    idle_runs_ = true;
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else if (jobs.completed() == 0 && idle_runs_) {
    idle_runs_ = false;
    uv_idle_stop(&idle_);
  }
  napi_value arguments[2];
  napi_create_uint32(env_, static_cast<uint32_t>(ready_delivered_), &arguments[0]);
  napi_create_uint32(env_, static_cast<uint32_t>(completed), &arguments[1]);
  napi_value ignored = nullptr;
  const napi_status status =
      napi_make_callback(env_, async_context_, arrays.Value(), callback_.Value(), 2, arguments, &ignored);
  ready_delivered_ = 0;
  if (status != napi_ok) reportException(env_);
}

void EngineCore::forgetSocket(int fd) {
  readiness.forget(fd);
  for (size_t index = 0; index < ready_delivered_; index++) {
    if (ready[2 * index] == fd) ready[2 * index + 1] = 0;
  }
}

void EngineCore::shutDown() {
  if (shut_down_) return;
  shut_down_ = true;
  callback_.Reset();
  if (async_context_ != nullptr) napi_async_destroy(env_, async_context_);
  async_context_ = nullptr;
  readiness.forgetAll();
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), onHandleClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), onHandleClosed);
}

void EngineCore::onHandleClosed(uv_handle_t* handle) {
  EngineCore* core = static_cast<EngineCore*>(handle->data);
  core->loop_handles_--;
  core->maybeDelete();
}

void EngineCore::maybeDelete() {
  if (!shut_down_ || loop_handles_ > 0 || readiness.open() > 0 || jobs.running() > 0) return;
  // Jobs on the thread pool wrote to memory that these arrays may own: they are let go last.
  arrays.Reset();
  if (owner_ != nullptr) *owner_ = nullptr;
  napi_remove_async_cleanup_hook(cleanup_hook_);
  delete this;
}

void EngineCore::onCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<EngineCore*>(data)->shutDown(); }

}  // namespace scatterwire
