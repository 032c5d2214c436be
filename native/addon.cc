// What the addon exports: `NativeBinding` of src/native/binding.ts.
//
// Always: what belongs to an environment is its instance data, so that the addon loads in any number of workers. Two things
// belong to the process, because what they share out does: the threads (work/worker_pool) and the mappings of files
// (memory/mapped_regions).
#include <fcntl.h>
#include <napi.h>
#include <sys/resource.h>
#include <uv.h>

#include <cerrno>
#include <cmath>

#include "arguments.h"
#include "datagram_batch.h"
#include "digest/compressors.h"
#include "cost_clocks.h"
#include "engine.h"
#include "files/file_calls.h"
#include "files/file_jobs.h"
#include "files/file_look.h"
#include "memory/mappings.h"
#include "memory/prefetch.h"
#include "memory/slab.h"
#include "net/datagrams.h"
#include "net/vectored_io.h"

namespace scatterwire {

namespace {

#ifdef O_DIRECT
constexpr int kDirect = O_DIRECT;
#else
constexpr int kDirect = 0;
#endif

struct Classes {
  Napi::FunctionReference engine;
  Napi::FunctionReference datagram_batch;
};

double micros(const uv_timeval_t& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

Napi::Value resourceUsage(const Napi::CallbackInfo& info) {
  uv_rusage_t usage = {};
  uv_getrusage(&usage);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("userMicros", micros(usage.ru_utime));
  result.Set("systemMicros", micros(usage.ru_stime));
  result.Set("minorFaults", static_cast<double>(usage.ru_minflt));
  result.Set("majorFaults", static_cast<double>(usage.ru_majflt));
  result.Set("voluntarySwitches", static_cast<double>(usage.ru_nvcsw));
  result.Set("involuntarySwitches", static_cast<double>(usage.ru_nivcsw));
  return result;
}

// The soft limit of RLIMIT_NOFILE; infinity where there is none.
Napi::Value descriptorLimit(const Napi::CallbackInfo& info) {
  rlimit limit = {};
  const bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return Napi::Number::New(info.Env(), known ? static_cast<double>(limit.rlim_cur) : HUGE_VAL);
}

Napi::Value digestVariants(Napi::Env env) {
  const Compressor* found[kCompressorsMax];
  const size_t count = findCompressors(found, kCompressorsMax);
  Napi::Array names = Napi::Array::New(env, count);
  for (size_t index = 0; index < count; index++) names.Set(static_cast<uint32_t>(index), found[index]->name);
  return names;
}

Napi::Value lockByteOf(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.descriptor(0);
  const double offset = arguments.integer(1, 0, kExactMax);
  const int kind = static_cast<int>(arguments.integer(2, 0, 2));
  if (arguments.failed()) return {};
  return Napi::Number::New(info.Env(), lockByte(fd, static_cast<off_t>(offset), static_cast<ByteLock>(kind)));
}

// A folder, names in it with a zero behind each, and a Float64Array for what is found: how many names were looked up.
Napi::Value lookAtFilesOf(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string folder = arguments.text(0);
  const std::string names = arguments.text(1);
  const auto [data, words] = arguments.elements(2, napi_float64_array, "a Float64Array");
  const bool opening = arguments.boolean(3);
  if (arguments.failed()) return {};
  const size_t count = lookAtFiles(folder, names, static_cast<double*>(data), words / kLookWords, opening);
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

// Memory without an engine: zeros that take none of the machine's until they are touched.
Napi::Value reserveMemory(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const double bytes = arguments.integer(0, 1, static_cast<double>(kSlabBytesMax));
  if (arguments.failed()) return Napi::Value();
  const SharedBuffer shared = createSharedBuffer(info.Env(), static_cast<size_t>(bytes), false);
  if (shared.memory == nullptr || info.Env().IsExceptionPending()) {
    if (!info.Env().IsExceptionPending()) arguments.refuse("there is not that much memory");
    return Napi::Value();
  }
  preferLargePages(*shared.memory);
  // Where the memory is the buffer's own, it begins somewhere inside: whoever asked for memory gets all of it.
  return shared.buffer;
}

// A call with a Uint8Array, over memory of whatever kind.
template <void (*advise)(void*, size_t)>
Napi::Value adviseMemory(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const auto [data, length] = arguments.elements(0, napi_uint8_array, "a Uint8Array");
  if (data != nullptr) advise(data, length);
  return Napi::Value();
}

// Pages of a Uint8Array, which stays as long as a thread of the process's pool is at it.
class Populating : public Napi::AsyncWorker {
 public:
  Populating(Napi::Env env, Napi::Object array, void* data, size_t size)
      : Napi::AsyncWorker(env, "scatterwire.populatePages"),
        array_(Napi::Persistent(array)),
        data_(data),
        size_(size) {}
  void Execute() override { populatePages(data_, size_); }

 private:
  Napi::ObjectReference array_;
  void* data_;
  size_t size_;
};

Napi::Value populateLater(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const auto [data, length] = arguments.elements(0, napi_uint8_array, "a Uint8Array");
  // It deletes itself when it is done.
  if (data != nullptr) (new Populating(info.Env(), info[0].As<Napi::Object>(), data, length))->Queue();
  return Napi::Value();
}

// A call with a Uint32Array, an Int32Array of pairs and how many of them.
Napi::Value prefetch(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const auto [words, length] = arguments.elements(0, napi_uint32_array, "a Uint32Array");
  const auto [runs, numbers] = arguments.elements(1, napi_int32_array, "an Int32Array");
  const double count = arguments.integer(2, 0, static_cast<double>(numbers / 2));
  if (arguments.failed()) return Napi::Value();
  prefetchRuns(static_cast<uint32_t*>(words), length, static_cast<int32_t*>(runs), static_cast<size_t>(count));
  return Napi::Value();
}

// What both sides count on, by the names that TypeScript has for it: binding.ts compares them when it loads this addon.
Napi::Object constants(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&result](const char* name, double value) { result.Set(name, value); };
  set("READABLE", UV_READABLE);
  set("WRITABLE", UV_WRITABLE);
  set("JobKind.write", kWrite);
  set("JobKind.read", kRead);
  set("JobKind.digest", kDigest);
  set("JobKind.allocate", kAllocate);
  set("JobKind.sync", kSync);
  set("JobKind.copy", kCopy);
  set("JobKind.digestFiles", kDigestFiles);
  set("JobKind.digestPaths", kDigestPaths);
  set("WRITE_IN_TURN", kWriteInTurn);
  set("DIGEST_START", kDigestStart);
  set("DIGEST_FINISH", kDigestFinish);
  set("DIGEST_OPEN_FILES", kDigestOpenFiles);
  set("PATHS_OPEN_MAX", kPathsOpenMax);
  set("JOB_HEADER_WORDS", kJobHeaderWords);
  set("LOOK_WORDS", kLookWords);
  set("COST_NAMES.length", kCosts);
  set("PAGE_SIZE", kPageBytes);
  set("PLAN_ENTRIES_MAX", kVectorsMax);
  set("MAPPING_ADDRESS_STRIDE", kStride);
  set("HASH_LANES", kLanesMax);
  set("ADDRESS_WORDS", kAddressWords);
  set("ByteLock.none", static_cast<int>(ByteLock::none));
  set("ByteLock.shared", static_cast<int>(ByteLock::shared));
  set("ByteLock.exclusive", static_cast<int>(ByteLock::exclusive));
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  // The environment owns the references and drops them at its end.
  auto* classes =
      new Classes{Napi::Persistent(Engine::define(env)), Napi::Persistent(DatagramBatchObject::define(env))};
  env.SetInstanceData(classes);
  exports.Set("createEngine", Napi::Function::New(
                                  env,
                                  [](const Napi::CallbackInfo& info) -> Napi::Value {
                                    return info.Env().GetInstanceData<Classes>()->engine.New({info[0]});
                                  },
                                  "createEngine"));
  exports.Set("createDatagramBatch", Napi::Function::New(
                                         env,
                                         [](const Napi::CallbackInfo& info) -> Napi::Value {
                                           return info.Env().GetInstanceData<Classes>()->datagram_batch.New(
                                               {info[0], info[1], info[2], info[3], info[4]});
                                         },
                                         "createDatagramBatch"));
  exports.Set("reserveMemory", Napi::Function::New(env, reserveMemory, "reserveMemory"));
  exports.Set("preferLargePages", Napi::Function::New(env, adviseMemory<preferLargePages>, "preferLargePages"));
  exports.Set("releasePages", Napi::Function::New(env, adviseMemory<releasePages>, "releasePages"));
  exports.Set("populatePages", Napi::Function::New(env, populateLater, "populatePages"));
  exports.Set("prefetch", Napi::Function::New(env, prefetch, "prefetch"));
  exports.Set("resourceUsage", Napi::Function::New(env, resourceUsage, "resourceUsage"));
  exports.Set("descriptorLimit", Napi::Function::New(env, descriptorLimit, "descriptorLimit"));
  exports.Set("lockByte", Napi::Function::New(env, lockByteOf, "lockByte"));
  exports.Set("lookAtFiles", Napi::Function::New(env, lookAtFilesOf, "lookAtFiles"));
  exports.Set("digestVariants", digestVariants(env));
  exports.Set("constants", constants(env));
  exports.Set("O_DIRECT", kDirect);
  exports.Set("EAGAIN", -EAGAIN);
  exports.Set("EINPROGRESS", -EINPROGRESS);
  exports.Set("ECANCELED", -ECANCELED);
  exports.Set("ENOTSUP", -ENOTSUP);
  exports.Set("EINVAL", -EINVAL);
  exports.Set("ENOBUFS", -ENOBUFS);
  exports.Set("EMFILE", -EMFILE);
  exports.Set("ENFILE", -ENFILE);
  exports.Set("ENOMEM", -ENOMEM);
  return exports;
}

}  // namespace

}  // namespace scatterwire

// The macro declares and defines functions of its own, outside any namespace.
static Napi::Object InitializeAddon(Napi::Env env, Napi::Object exports) {
  return scatterwire::initialize(env, exports);
}

NODE_API_MODULE(scatterwire, InitializeAddon)
