#include "engine.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "sockets.h"

namespace scatterwire {

namespace {

constexpr double kEntriesMax = 1 << 20;

// Argument `index` as a number; NaN if it is none, which every range check refuses.
double number(const Napi::CallbackInfo& info, size_t index) {
  double value = 0;
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok) return std::nan("");
  return value;
}

// A descriptor or another small number; −1 for anything that is none.
int integer(const Napi::CallbackInfo& info, size_t index) {
  const double value = number(info, index);
  return value >= -2147483648.0 && value <= 2147483647.0 ? static_cast<int>(value) : -1;
}

bool boolean(const Napi::CallbackInfo& info, size_t index) {
  bool value = false;
  return napi_get_value_bool(info.Env(), info[index], &value) == napi_ok && value;
}

Napi::Value answer(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }

void throwRange(const Napi::CallbackInfo& info, const char* message) {
  Napi::RangeError::New(info.Env(), message).ThrowAsJavaScriptException();
}

void throwType(const Napi::CallbackInfo& info, const char* message) {
  Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
}

// A whole positive number among the options, or 0 after throwing.
size_t sizeOption(const Napi::CallbackInfo& info, const Napi::Object& options, const char* name, double max) {
  const Napi::Value value = options.Get(name);
  const double size = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (size >= 1 && size <= max) return static_cast<size_t>(size);
  throwRange(info, (std::string(name) + " is out of range").c_str());
  return 0;
}

Napi::Value addressOrError(const Napi::CallbackInfo& info, int (*find)(int, SocketAddress*)) {
  SocketAddress address;
  const int result = find(integer(info, 0), &address);
  if (result < 0) return answer(info, result);
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("host", Napi::String::New(info.Env(), address.host));
  object.Set("port", Napi::Number::New(info.Env(), address.port));
  return object;
}

std::string text(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
}

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {
                         InstanceMethod<&Engine::listen>("listen"),
                         InstanceMethod<&Engine::accept>("accept"),
                         InstanceMethod<&Engine::connect>("connect"),
                         InstanceMethod<&Engine::socketError>("socketError"),
                         InstanceMethod<&Engine::localAddress>("localAddress"),
                         InstanceMethod<&Engine::remoteAddress>("remoteAddress"),
                         InstanceMethod<&Engine::setBufferSizes>("setBufferSizes"),
                         InstanceMethod<&Engine::setNoDelay>("setNoDelay"),
                         InstanceMethod<&Engine::closeSocket>("closeSocket"),
                         InstanceMethod<&Engine::readv>("readv"),
                         InstanceMethod<&Engine::writev>("writev"),
                         InstanceMethod<&Engine::sendfile>("sendfile"),
                         InstanceMethod<&Engine::readCached>("readCached"),
                         InstanceMethod<&Engine::copy>("copy"),
                         InstanceMethod<&Engine::watch>("watch"),
                         InstanceMethod<&Engine::onReady>("onReady"),
                         InstanceMethod<&Engine::submit>("submit"),
                         InstanceMethod<&Engine::openDigest>("openDigest"),
                         InstanceMethod<&Engine::closeDigest>("closeDigest"),
                         InstanceMethod<&Engine::map>("map"),
                         InstanceMethod<&Engine::unmap>("unmap"),
                         InstanceAccessor<&Engine::jobsPending>("jobsPending"),
                         InstanceMethod<&Engine::close>("close"),
                     });
}

Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    throwType(info, "an engine takes an object with its sizes");
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  const size_t slab_bytes = sizeOption(info, options, "slabBytes", 4294967296.0);
  EngineSizes sizes;
  sizes.plan_entries = sizeOption(info, options, "planEntries", static_cast<double>(kVectorsMax));
  sizes.ready_entries = sizeOption(info, options, "readyEntries", kEntriesMax);
  sizes.completion_entries = sizeOption(info, options, "completionEntries", kEntriesMax);
  sizes.job_words = sizeOption(info, options, "jobWords", 16 * kEntriesMax);
  if (env.IsExceptionPending()) return;

  uv_loop_t* loop = nullptr;
  const Slab slab = createSlab(env, slab_bytes);
  if (env.IsExceptionPending()) return;
  if (slab.memory == nullptr || napi_get_uv_event_loop(env, &loop) != napi_ok) {
    throwRange(info, "there is not enough memory for the slab");
    return;
  }
  core_ = new EngineCore(env, loop, slab.memory, sizes, &core_);
  makeArrays(env, info.This().As<Napi::Object>(), slab);
  // An engine that watches sockets or runs jobs must not be collected; close() lets it go.
  Ref();
}

Engine::~Engine() {
  if (core_ == nullptr) return;
  core_->abandon();
  core_->shutDown();
}

void Engine::makeArrays(Napi::Env env, Napi::Object self, const Slab& slab) {
  const EngineSizes& sizes = core_->sizes;
  auto plan = Napi::Float64Array::New(env, 2 * sizes.plan_entries);
  auto ready = Napi::Int32Array::New(env, 2 * sizes.ready_entries);
  auto words = Napi::Float64Array::New(env, sizes.job_words);
  auto completions = Napi::Float64Array::New(env, 2 * sizes.completion_entries);
  core_->plan = plan.Data();
  core_->ready = ready.Data();
  core_->words = words.Data();
  core_->completions = completions.Data();
  Napi::Object arrays = Napi::Object::New(env);
  const auto share = [&](const char* name, Napi::Value array) {
    arrays.Set(name, array);
    self.DefineProperty(Napi::PropertyDescriptor::Value(name, array, napi_enumerable));
  };
  share("slab", slab.array);
  share("plan", plan);
  share("ready", ready);
  share("jobs", words);
  share("completions", completions);
  core_->arrays = Napi::Persistent(arrays);
}

bool Engine::isOpen(Info info) {
  if (core_ != nullptr && !core_->isShutDown()) return true;
  throwType(info, "the engine is closed");
  return false;
}

bool Engine::takePlan(Info info, size_t at, size_t* count) {
  const double first = number(info, at);
  const double entries = number(info, at + 1);
  const double capacity = static_cast<double>(core_->sizes.plan_entries);
  if (!(first >= 0 && entries >= 1 && first + entries <= capacity)) {
    throwRange(info, "the entries lie outside the plan");
    return false;
  }
  *count = static_cast<size_t>(entries);
  if (translatePlan(*core_->space, core_->plan + 2 * static_cast<size_t>(first), *count, vectors_)) return true;
  throwRange(info, "the plan names memory outside the slab and the mappings");
  return false;
}

Napi::Value Engine::listen(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  return answer(info, listenSocket(text(info, 0), integer(info, 1), integer(info, 2)));
}

Napi::Value Engine::accept(Info info) { return answer(info, acceptSocket(integer(info, 0))); }

Napi::Value Engine::connect(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  return answer(info, connectSocket(text(info, 0), integer(info, 1)));
}

Napi::Value Engine::socketError(Info info) { return answer(info, scatterwire::socketError(integer(info, 0))); }

Napi::Value Engine::localAddress(Info info) { return addressOrError(info, scatterwire::localAddress); }

Napi::Value Engine::remoteAddress(Info info) { return addressOrError(info, scatterwire::remoteAddress); }

Napi::Value Engine::setBufferSizes(Info info) {
  return answer(info, scatterwire::setBufferSizes(integer(info, 0), integer(info, 1), integer(info, 2)));
}

Napi::Value Engine::setNoDelay(Info info) {
  return answer(info, scatterwire::setNoDelay(integer(info, 0), boolean(info, 1)));
}

Napi::Value Engine::closeSocket(Info info) {
  const int fd = integer(info, 0);
  if (core_ != nullptr && !core_->isShutDown()) core_->forgetSocket(fd);
  return answer(info, ::close(fd) == 0 ? 0 : -errno);
}

Napi::Value Engine::readv(Info info) {
  size_t count = 0;
  if (!isOpen(info) || !takePlan(info, 1, &count)) return info.Env().Undefined();
  return answer(info, readVectors(integer(info, 0), vectors_, count));
}

Napi::Value Engine::writev(Info info) {
  size_t count = 0;
  if (!isOpen(info) || !takePlan(info, 1, &count)) return info.Env().Undefined();
  return answer(info, writeVectors(integer(info, 0), vectors_, count, boolean(info, 3)));
}

Napi::Value Engine::sendfile(Info info) {
  const double offset = number(info, 2);
  const double length = number(info, 3);
  if (!(offset >= 0 && length >= 0 && length <= 2147483647.0)) {
    throwRange(info, "offset and length are out of range");
    return info.Env().Undefined();
  }
  return answer(info, sendFile(integer(info, 0), integer(info, 1), offset, length));
}

Napi::Value Engine::readCached(Info info) {
  size_t count = 0;
  if (!isOpen(info) || !takePlan(info, 2, &count)) return info.Env().Undefined();
  const double offset = number(info, 1);
  if (!(offset >= 0)) {
    throwRange(info, "the offset is out of range");
    return info.Env().Undefined();
  }
  return answer(info, scatterwire::readCached(integer(info, 0), offset, vectors_, count));
}

Napi::Value Engine::copy(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  const double length = number(info, 2);
  const char* from = core_->space->translate(number(info, 0), length);
  char* to = core_->space->translate(number(info, 1), length);
  if (from == nullptr || to == nullptr) throwRange(info, "copy names memory outside the slab and the mappings");
  else memmove(to, from, static_cast<size_t>(length));
  return info.Env().Undefined();
}

Napi::Value Engine::watch(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  return answer(info, core_->readiness.watch(integer(info, 0), integer(info, 1) & 3));
}

Napi::Value Engine::onReady(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  if (info[0].IsFunction()) core_->onReady(info[0].As<Napi::Function>());
  else throwType(info, "onReady takes a function");
  return info.Env().Undefined();
}

Napi::Value Engine::submit(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  const double words = number(info, 0);
  const bool fits = words >= 0 && words <= static_cast<double>(core_->sizes.job_words);
  const double taken = fits ? core_->jobs.submit(core_->words, static_cast<size_t>(words)) : kBadPlan;
  if (taken == kBadPlan) throwRange(info, "a job is malformed or names memory outside the slab and the mappings");
  return answer(info, taken);
}

Napi::Value Engine::openDigest(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  const std::string algorithm = text(info, 0);
  if (algorithm == "sha1") return answer(info, core_->jobs.openDigest(DigestAlgorithm::kSha1));
  if (algorithm == "sha256") return answer(info, core_->jobs.openDigest(DigestAlgorithm::kSha256));
  throwType(info, "the algorithm is sha1 or sha256");
  return info.Env().Undefined();
}

Napi::Value Engine::closeDigest(Info info) {
  if (isOpen(info) && !core_->jobs.closeDigest(integer(info, 0))) throwRange(info, "no such digest");
  return info.Env().Undefined();
}

Napi::Value Engine::map(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  return answer(info, core_->space->map(integer(info, 0), number(info, 1), boolean(info, 2), boolean(info, 3)));
}

Napi::Value Engine::unmap(Info info) {
  if (!isOpen(info)) return info.Env().Undefined();
  return answer(info, core_->space->unmap(number(info, 0)));
}

Napi::Value Engine::jobsPending(Info info) {
  const bool open = core_ != nullptr && !core_->isShutDown();
  return answer(info, open ? static_cast<double>(core_->jobsPending()) : 0);
}

Napi::Value Engine::close(Info info) {
  if (core_ == nullptr || core_->isShutDown()) return info.Env().Undefined();
  if (core_->jobsPending() > 0) {
    throwType(info, "jobs are pending: an engine is closed when all of them are answered");
    return info.Env().Undefined();
  }
  EngineCore* core = core_;
  core->abandon();
  core_ = nullptr;
  core->shutDown();
  Unref();
  return info.Env().Undefined();
}

}  // namespace scatterwire
