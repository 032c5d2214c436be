// See engine.h. One short method for each function of the engine that JavaScript calls: it reads arguments, asks another part,
// and answers; there are many of them.
#include "engine.h"

#include <cassert>
#include <cerrno>
#include <cstring>

#include "arguments.h"
#include "cipher/rc4.h"
#include "engine_sizes.h"
#include "net/datagrams.h"
#include "net/sockets.h"

namespace scatterwire {

namespace {

// Marks our objects, so that a getter that is called on a stranger's does not take it for one.
constexpr napi_type_tag kEngineTag = {0x5ca77e2317e3a6b1, 0x9d0c4be1f7a8420d};

// JavaScript's small integers need no memory; other doubles do.
Napi::Value numberValue(Napi::Env env, double value) {
  napi_value result = nullptr;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, static_cast<int32_t>(value), &result);
  } else {
    napi_create_double(env, value, &result);
  }
  return Napi::Value(env, result);
}

bool isEmpty(const iovec* vectors, size_t count) {
  for (size_t index = 0; index < count; index++) {
    if (vectors[index].iov_len > 0) return false;
  }
  return true;
}

Napi::Value addressValue(Napi::Env env, int result, const SocketAddress& address) {
  if (result < 0) return numberValue(env, result);
  Napi::Object object = Napi::Object::New(env);
  object.Set("host", address.host);
  object.Set("port", address.port);
  return object;
}

}  // namespace

// One call of a method: its arguments, and the engine if it can be used at all.
class Engine::Call : public Arguments {
 public:
  Call(Engine* engine, Info info) : Arguments(info), env_(info.Env()), core_(engine->core_.get()) {
    if (core_->closed()) refuse("the engine is closed");
    // Only in hosts where the memory belongs to JavaScript.
    if (core_->detached()) refuse("the engine's memory was transferred");
  }

  // Reads `first` and `count` from arguments `index` and `index` + 1, and turns these entries of the plan into vectors.
  size_t plan(size_t index, Access access) {
    const double entries = static_cast<double>(core_->sizes().plan_entries);
    const size_t first = static_cast<size_t>(integer(index, 0, entries - 1));
    const size_t count = static_cast<size_t>(integer(index + 1, 1, static_cast<double>(kVectorsMax)));
    if (failed()) return 0;
    if (first + count > core_->sizes().plan_entries) {
      refuse("the plan has fewer entries");
    } else if (!findVectors(core_->space(), core_->tables().plan + 2 * first, count, access, core_->vectors())) {
      refuse("the plan names memory that is not there, or not to be written");
    }
    return count;
  }

  // A socket of this engine, or -1, which every call on sockets answers with EBADF.
  int socket(size_t index) {
    const int fd = descriptor(index);
    return !failed() && core_->readiness().knows(fd) ? fd : -1;
  }

  Napi::Value answer(double value) const { return numberValue(env_, value); }
  Napi::Value nothing() const { return Napi::Value(); }
  Napi::Env env() const { return env_; }
  Core* operator->() const { return core_; }

 private:
  Napi::Env env_;
  Core* core_;
};

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {
                         InstanceMethod<&Engine::listen>("listen"),
                         InstanceMethod<&Engine::accept>("accept"),
                         InstanceMethod<&Engine::connect>("connect"),
                         InstanceMethod<&Engine::socketErrorOf>("socketError"),
                         InstanceMethod<&Engine::localAddressOf>("localAddress"),
                         InstanceMethod<&Engine::remoteAddressOf>("remoteAddress"),
                         InstanceMethod<&Engine::setBufferSizesOf>("setBufferSizes"),
                         InstanceMethod<&Engine::setNoDelayOf>("setNoDelay"),
                         InstanceMethod<&Engine::setReceiveLowWaterOf>("setReceiveLowWater"),
                         InstanceMethod<&Engine::setUnsentBytesMaxOf>("setUnsentBytesMax"),
                         InstanceMethod<&Engine::discardUnsentAtCloseOf>("discardUnsentAtClose"),
                         InstanceMethod<&Engine::unacknowledgedBytesOf>("unacknowledgedBytes"),
                         InstanceMethod<&Engine::closeSocket>("closeSocket"),
                         InstanceMethod<&Engine::bindDatagramsTo>("bindDatagrams"),
                         InstanceMethod<&Engine::shareDatagramsOf>("shareDatagrams"),
                         InstanceMethod<&Engine::connectDatagramsTo>("connectDatagrams"),
                         InstanceMethod<&Engine::readv>("readv"),
                         InstanceMethod<&Engine::writev>("writev"),
                         InstanceMethod<&Engine::sendfile>("sendfile"),
                         InstanceMethod<&Engine::readCached>("readCached"),
                         InstanceMethod<&Engine::copy>("copy"),
                         InstanceMethod<&Engine::rc4>("rc4"),
                         InstanceMethod<&Engine::clockCosts>("clockCosts"),
                         InstanceMethod<&Engine::watch>("watch"),
                         InstanceMethod<&Engine::onReady>("onReady"),
                         InstanceMethod<&Engine::submit>("submit"),
                         InstanceMethod<&Engine::openDigest>("openDigest"),
                         InstanceMethod<&Engine::closeDigest>("closeDigest"),
                         InstanceMethod<&Engine::map>("map"),
                         InstanceMethod<&Engine::unmap>("unmap"),
                         InstanceMethod<&Engine::isIntact>("isIntact"),
                         napi_property_descriptor{"jobsPending", nullptr, nullptr, jobsPending, nullptr, nullptr,
                                                  napi_enumerable, nullptr},
                         InstanceMethod<&Engine::close>("close"),
                     });
}

Engine::Engine(Info info) : Napi::ObjectWrap<Engine>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    Napi::TypeError::New(env, "expected an object with options").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  const EngineSizes sizes = readSizes(options);
  if (env.IsExceptionPending()) return;
  // Not in the contract: lets tests try what hosts without external ArrayBuffers get.
  const bool ordinary = options.Get("ordinaryBuffers").ToBoolean();
  if (env.IsExceptionPending()) return;
  const Compressor* forced = readDigestVariant(options);
  if (env.IsExceptionPending()) return;
  const SharedBuffer slab = createSharedBuffer(env, sizes.slab_bytes, ordinary);
  if (slab.memory == nullptr || env.IsExceptionPending()) {
    if (!env.IsExceptionPending()) {
      Napi::RangeError::New(env, "slabBytes: there is not that much memory").ThrowAsJavaScriptException();
    }
    return;
  }
  const SharedBuffer tables = createSharedBuffer(env, tableBytes(sizes), ordinary);
  if (tables.memory == nullptr || env.IsExceptionPending()) {
    if (!env.IsExceptionPending()) {
      Napi::RangeError::New(env, "there is no memory for the shared tables").ThrowAsJavaScriptException();
    }
    return;
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  auto core = std::make_shared<Core>(env, loop, sizes, slab, tables);
  if (loop == nullptr || !core->start()) {
    Napi::Error::New(env, "this environment has no event loop").ThrowAsJavaScriptException();
    return;
  }
  if (forced != nullptr) core->jobs().forceCompressor(*forced);
  core_ = std::move(core);
  napi_type_tag_object(env, info.This(), &kEngineTag);
  addArrays(info.This().As<Napi::Object>(), slab, tables);
}

Engine::~Engine() {
  if (core_ != nullptr) core_->shutdown();
}

// Own properties, so that reading one is no call into native code.
void Engine::addArrays(Napi::Object self, const SharedBuffer& slab, const SharedBuffer& tables) {
  const Napi::Env env = self.Env();
  const EngineSizes& sizes = core_->sizes();
  const auto offset = [&](const void* at) {
    const auto beyond = static_cast<size_t>(static_cast<const char*>(at) - tables.memory->data());
    assert(beyond < tables.memory->size());
    return tables.offset + beyond;
  };
  const auto doubles = [&](const double* at, size_t count) {
    return Napi::Float64Array::New(env, count, tables.buffer, offset(at));
  };
  const Tables& at = core_->tables();
  // The host decides it, and for all of its buffers alike.
  assert(slab.memory->mapped() == tables.memory->mapped());
  self.DefineProperties({
      Napi::PropertyDescriptor::Value("slab", Napi::Uint8Array::New(env, sizes.slab_bytes, slab.buffer, slab.offset),
                                      napi_enumerable),
      Napi::PropertyDescriptor::Value("ordinaryBuffers", Napi::Boolean::New(env, !slab.memory->mapped()),
                                      napi_enumerable),
      Napi::PropertyDescriptor::Value("plan", doubles(at.plan, 2 * sizes.plan_entries), napi_enumerable),
      Napi::PropertyDescriptor::Value("completions", doubles(at.completions, 2 * sizes.completion_entries),
                                      napi_enumerable),
      Napi::PropertyDescriptor::Value("costs", doubles(at.costs, kCosts), napi_enumerable),
      Napi::PropertyDescriptor::Value("jobs", doubles(at.jobs, sizes.job_words), napi_enumerable),
      Napi::PropertyDescriptor::Value(
          "ready", Napi::Int32Array::New(env, 2 * sizes.ready_entries, tables.buffer, offset(at.ready)),
          napi_enumerable),
  });
}

Napi::Value Engine::listen(Info info) {
  Call call(this, info);
  const std::string host = call.text(0);
  const int port = static_cast<int>(call.integer(1, 0, 65535));
  const int backlog = static_cast<int>(call.integer(2, 0, INT32_MAX));
  if (call.failed()) return call.nothing();
  const int fd = listenSocket(host, port, backlog);
  if (fd >= 0) call->readiness().adopt(fd);
  return call.answer(fd);
}

Napi::Value Engine::accept(Info info) {
  Call call(this, info);
  const int listener = call.socket(0);
  if (call.failed()) return call.nothing();
  const int fd = acceptSocket(listener);
  if (fd >= 0) call->readiness().adopt(fd);
  return call.answer(fd);
}

Napi::Value Engine::connect(Info info) {
  Call call(this, info);
  const std::string host = call.text(0);
  const int port = static_cast<int>(call.integer(1, 0, 65535));
  const std::string source = info.Length() > 2 && !info[2].IsUndefined() ? call.text(2) : std::string();
  if (call.failed()) return call.nothing();
  const int fd = connectSocket(host, port, source);
  if (fd >= 0) call->readiness().adopt(fd);
  return call.answer(fd);
}

Napi::Value Engine::socketErrorOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  return call.failed() ? call.nothing() : call.answer(socketError(fd));
}

Napi::Value Engine::localAddressOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  if (call.failed()) return call.nothing();
  SocketAddress address;
  return addressValue(call.env(), localAddress(fd, &address), address);
}

Napi::Value Engine::remoteAddressOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  if (call.failed()) return call.nothing();
  SocketAddress address;
  return addressValue(call.env(), remoteAddress(fd, &address), address);
}

Napi::Value Engine::setBufferSizesOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const int receive_bytes = static_cast<int>(call.integer(1, 0, INT32_MAX));
  const int send_bytes = static_cast<int>(call.integer(2, 0, INT32_MAX));
  return call.failed() ? call.nothing() : call.answer(setBufferSizes(fd, receive_bytes, send_bytes));
}

Napi::Value Engine::setNoDelayOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const bool on = call.boolean(1);
  return call.failed() ? call.nothing() : call.answer(setNoDelay(fd, on));
}

Napi::Value Engine::setReceiveLowWaterOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const int bytes = static_cast<int>(call.integer(1, 1, INT32_MAX));
  return call.failed() ? call.nothing() : call.answer(setReceiveLowWater(fd, bytes));
}

Napi::Value Engine::setUnsentBytesMaxOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const int bytes = static_cast<int>(call.integer(1, 1, INT32_MAX));
  return call.failed() ? call.nothing() : call.answer(setUnsentBytesMax(fd, bytes));
}

Napi::Value Engine::discardUnsentAtCloseOf(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  return call.failed() ? call.nothing() : call.answer(discardUnsentAtClose(fd));
}

Napi::Value Engine::unacknowledgedBytesOf(Info info) {
  Call call(this, info);
  const int fd = call.descriptor(0);
  return call.failed() ? call.nothing() : call.answer(unacknowledgedBytes(fd));
}

Napi::Value Engine::closeSocket(Info info) {
  Call call(this, info);
  const int fd = call.descriptor(0);
  return call.failed() ? call.nothing() : call.answer(call->readiness().close(fd));
}

Napi::Value Engine::bindDatagramsTo(Info info) {
  Call call(this, info);
  const std::string host = call.text(0);
  const int port = static_cast<int>(call.integer(1, 0, 65535));
  DatagramOptions options;
  options.reuse_port = call.boolean(2);
  options.receive_buffer_bytes = static_cast<int>(call.integer(3, 0, INT32_MAX));
  options.send_buffer_bytes = static_cast<int>(call.integer(4, 0, INT32_MAX));
  if (call.failed()) return call.nothing();
  const int fd = bindDatagrams(host, port, options);
  if (fd >= 0) call->readiness().adopt(fd);
  return call.answer(fd);
}

// The socket may be of another engine: it is one of this process, and who says its number knows that it is open.
Napi::Value Engine::shareDatagramsOf(Info info) {
  Call call(this, info);
  const int shared = call.descriptor(0);
  if (call.failed()) return call.nothing();
  const int fd = duplicateDatagrams(shared);
  if (fd >= 0) call->readiness().adopt(fd);
  return call.answer(fd);
}

Napi::Value Engine::connectDatagramsTo(Info info) {
  Call call(this, info);
  const int fd = call.descriptor(0);
  const std::string host = call.text(1);
  const int port = static_cast<int>(call.integer(2, 1, 65535));
  return call.failed() ? call.nothing() : call.answer(connectDatagrams(fd, host, port));
}

Napi::Value Engine::readv(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const size_t count = call.plan(1, Access::kWrite);
  if (call.failed()) return call.nothing();
  const double bytes = call->costs().time(kCostReceive, [&] { return receiveVectors(fd, call->vectors(), count); });
  if (bytes == 0 && isEmpty(call->vectors(), count)) call.refuse("a plan without room looks like the end of a stream");
  return call.failed() ? call.nothing() : call.answer(bytes);
}

Napi::Value Engine::writev(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const size_t count = call.plan(1, Access::kRead);
  const bool more = call.boolean(3);
  if (call.failed()) return call.nothing();
  return call.answer(call->costs().time(kCostSend, [&] { return sendVectors(fd, call->vectors(), count, more); }));
}

Napi::Value Engine::sendfile(Info info) {
  Call call(this, info);
  const int fd = call.socket(0);
  const int file_fd = call.descriptor(1);
  const double offset = call.integer(2, 0, kExactMax);
  const double length = call.integer(3, 0, kExactMax);
  if (call.failed()) return call.nothing();
  return call.answer(call->costs().time(kCostSend, [&] { return sendFile(fd, file_fd, offset, length); }));
}

Napi::Value Engine::readCached(Info info) {
  Call call(this, info);
  const int file_fd = call.descriptor(0);
  const double offset = call.integer(1, 0, kExactMax);
  const size_t count = call.plan(2, Access::kWrite);
  if (call.failed()) return call.nothing();
  return call.answer(
      call->costs().time(kCostRead, [&] { return readCachedVectors(file_fd, offset, call->vectors(), count); }));
}

Napi::Value Engine::copy(Info info) {
  Call call(this, info);
  const double length = call.number(2);
  const char* from = call->space().find(call.number(0), length, Access::kRead);
  char* to = call->space().find(call.number(1), length, Access::kWrite);
  if (from == nullptr || to == nullptr) call.refuse("copy: memory that is not there, or not to be written");
  if (!call.failed()) call->costs().time(kCostCopy, [&] { return memmove(to, from, static_cast<size_t>(length)); });
  return call.nothing();
}

Napi::Value Engine::rc4(Info info) {
  Call call(this, info);
  uint8_t* state = call.bytes(0, kRc4StateBytes);
  const double target = call.number(4);
  const bool in_place = target < 0;
  const size_t count = call.plan(1, in_place ? Access::kWrite : Access::kRead);
  const double bytes = call.integer(3, 0, kExactMax);
  char* to = in_place ? nullptr : call->space().find(target, bytes, Access::kWrite);
  if (!in_place && to == nullptr) call.refuse("rc4: memory that is not there, or not to be written");
  if (call.failed()) return call.nothing();
  const size_t done = call->costs().time(kCostCopy, [&] {
    return transformRc4(state, call->vectors(), count, static_cast<size_t>(bytes), reinterpret_cast<uint8_t*>(to));
  });
  return call.answer(static_cast<double>(done));
}

Napi::Value Engine::clockCosts(Info info) {
  Call call(this, info);
  const bool on = call.boolean(0);
  if (!call.failed()) call->costs().turn(on);
  return call.nothing();
}

Napi::Value Engine::watch(Info info) {
  Call call(this, info);
  const int fd = call.descriptor(0);
  const int events = static_cast<int>(call.integer(1, 0, UV_READABLE | UV_WRITABLE));
  return call.failed() ? call.nothing() : call.answer(call->readiness().watch(fd, events));
}

Napi::Value Engine::onReady(Info info) {
  Call call(this, info);
  const Napi::Value callback = info[0];
  if (!callback.IsFunction()) call.wrongType(0, "a function");
  if (!call.failed()) call->onReady(callback.As<Napi::Function>());
  return call.nothing();
}

Napi::Value Engine::submit(Info info) {
  Call call(this, info);
  const size_t words = static_cast<size_t>(call.integer(0, 0, static_cast<double>(core_->sizes().job_words)));
  if (call.failed()) return call.nothing();
  size_t jobs = 0;
  const char* wrong = call->jobs().submit(call->tables().jobs, words, &jobs);
  if (wrong != nullptr) call.refuse(wrong);
  return call.failed() ? call.nothing() : call.answer(static_cast<double>(jobs));
}

Napi::Value Engine::openDigest(Info info) {
  Call call(this, info);
  const std::string name = call.text(0);
  if (!call.failed() && name != "sha1" && name != "sha256") call.refuse("expected \"sha1\" or \"sha256\"");
  if (call.failed()) return call.nothing();
  const DigestAlgorithm algorithm = name == "sha1" ? DigestAlgorithm::kSha1 : DigestAlgorithm::kSha256;
  return call.answer(call->jobs().openDigest(algorithm));
}

Napi::Value Engine::closeDigest(Info info) {
  Call call(this, info);
  const int digest = call.descriptor(0);
  if (call.failed()) return call.nothing();
  const int result = call->jobs().closeDigest(digest);
  if (result < 0) call.refuse(result == -EBUSY ? "a job uses this digest" : "there is no such digest");
  return call.nothing();
}

Napi::Value Engine::map(Info info) {
  Call call(this, info);
  const int fd = call.descriptor(0);
  const double length = call.integer(1, 1, kExactMax);
  const bool writable = call.boolean(2);
  const bool populate = call.boolean(3);
  return call.failed() ? call.nothing() : call.answer(call->space().map(fd, length, writable, populate));
}

Napi::Value Engine::unmap(Info info) {
  Call call(this, info);
  const double address = call.number(0);
  if (call.failed()) return call.nothing();
  const int result = call->space().unmap(address);
  if (result == -EBUSY) call.refuse("a job names this mapping");
  return call.failed() ? call.nothing() : call.answer(result);
}

Napi::Value Engine::isIntact(Info info) {
  Call call(this, info);
  const double address = call.number(0);
  if (call.failed()) return call.nothing();
  return Napi::Boolean::New(call.env(), call->space().intact(address));
}

// V8 checks the receiver of methods, and not that of getters.
napi_value Engine::jobsPending(napi_env env, napi_callback_info info) {
  napi_value receiver = nullptr;
  void* wrapped = nullptr;
  bool ours = false;
  napi_get_cb_info(env, info, nullptr, nullptr, &receiver, nullptr);
  if (napi_check_object_type_tag(env, receiver, &kEngineTag, &ours) != napi_ok || !ours ||
      napi_unwrap(env, receiver, &wrapped) != napi_ok) {
    napi_throw_type_error(env, nullptr, "jobsPending: not an engine");
    return nullptr;
  }
  const Core& core = *static_cast<Engine*>(wrapped)->core_;
  // A closed engine has none.
  return numberValue(env, core.closed() ? 0 : static_cast<double>(core.jobs().pending()));
}

Napi::Value Engine::close(Info info) {
  if (!core_->closed() && core_->jobs().pending() > 0) {
    Napi::Error::New(info.Env(), "the engine has jobs pending").ThrowAsJavaScriptException();
    return Napi::Value();
  }
  core_->shutdown();
  return Napi::Value();
}

}  // namespace scatterwire
