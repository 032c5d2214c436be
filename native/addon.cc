// The export table, and the state of one environment (the main thread, or a worker): the class of engines. There are
// no globals, so the addon loads in as many workers as there are.

#include <fcntl.h>
#include <napi.h>
#include <sys/resource.h>

#include <cerrno>

#include "engine.h"

namespace scatterwire {

namespace {

#ifdef O_DIRECT
constexpr int kDirect = O_DIRECT;
#else
constexpr int kDirect = 0;
#endif

struct EnvironmentState {
  Napi::FunctionReference engine_class;
};

Napi::Value createEngine(const Napi::CallbackInfo& info) {
  auto* state = info.Env().GetInstanceData<EnvironmentState>();
  return state->engine_class.New({info[0]});
}

double micros(const timeval& time) { return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec); }

Napi::Value resourceUsage(const Napi::CallbackInfo& info) {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("userMicros", micros(usage.ru_utime));
  object.Set("systemMicros", micros(usage.ru_stime));
  object.Set("minorFaults", static_cast<double>(usage.ru_minflt));
  object.Set("majorFaults", static_cast<double>(usage.ru_majflt));
  object.Set("voluntarySwitches", static_cast<double>(usage.ru_nvcsw));
  object.Set("involuntarySwitches", static_cast<double>(usage.ru_nivcsw));
  return object;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* state = new EnvironmentState;
  state->engine_class = Napi::Persistent(Engine::define(env));
  env.SetInstanceData(state);
  exports.Set("createEngine", Napi::Function::New<createEngine>(env, "createEngine"));
  exports.Set("resourceUsage", Napi::Function::New<resourceUsage>(env, "resourceUsage"));
  exports.Set("O_DIRECT", static_cast<double>(kDirect));
  exports.Set("EAGAIN", static_cast<double>(-EAGAIN));
  exports.Set("EINPROGRESS", static_cast<double>(-EINPROGRESS));
  exports.Set("ECANCELED", static_cast<double>(-ECANCELED));
  exports.Set("ENOTSUP", static_cast<double>(-ENOTSUP));
  exports.Set("EINVAL", static_cast<double>(-EINVAL));
  return exports;
}

}  // namespace

}  // namespace scatterwire

static Napi::Object initializeAddon(Napi::Env env, Napi::Object exports) {
  return scatterwire::initialize(env, exports);
}

NODE_API_MODULE(scatterwire, initializeAddon)
