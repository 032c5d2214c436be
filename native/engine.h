// The JavaScript object of an engine: checks arguments, and calls what does the work. See src/native/binding.ts for
// what each method promises.
#pragma once

#include <napi.h>

#include "engine_core.h"
#include "vectored_io.h"

namespace scatterwire {

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);
  // Takes one object with the sizes of the slab and of the shared arrays.
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

 private:
  using Info = const Napi::CallbackInfo&;

  Napi::Value listen(Info info);
  Napi::Value accept(Info info);
  Napi::Value connect(Info info);
  Napi::Value socketError(Info info);
  Napi::Value localAddress(Info info);
  Napi::Value remoteAddress(Info info);
  Napi::Value setBufferSizes(Info info);
  Napi::Value setNoDelay(Info info);
  Napi::Value closeSocket(Info info);
  Napi::Value readv(Info info);
  Napi::Value writev(Info info);
  Napi::Value sendfile(Info info);
  Napi::Value readCached(Info info);
  Napi::Value copy(Info info);
  Napi::Value watch(Info info);
  Napi::Value onReady(Info info);
  Napi::Value submit(Info info);
  Napi::Value openDigest(Info info);
  Napi::Value closeDigest(Info info);
  Napi::Value map(Info info);
  Napi::Value unmap(Info info);
  Napi::Value jobsPending(Info info);
  Napi::Value close(Info info);

  void makeArrays(Napi::Env env, Napi::Object self, const Slab& slab);
  // The plan entries that arguments `at` (first) and `at + 1` (count) name, in vectors_; false after throwing.
  bool takePlan(Info info, size_t at, size_t* count);
  // False after throwing: the engine is closed.
  bool isOpen(Info info);

  EngineCore* core_ = nullptr;
  iovec vectors_[kVectorsMax];
};

}  // namespace scatterwire
