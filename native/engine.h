// The face of an engine in JavaScript: `NativeEngine` of src/native/binding.ts, one method for each of its methods.
//
// Always: a method checks its arguments, calls what does the work, and answers a number; misuse throws and does nothing.
// No policy lives here.
#pragma once

#include <napi.h>

#include <memory>

#include "core.h"

namespace scatterwire {

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

 private:
  using Info = const Napi::CallbackInfo&;

  Napi::Value listen(Info info);
  Napi::Value accept(Info info);
  Napi::Value connect(Info info);
  Napi::Value socketErrorOf(Info info);
  Napi::Value localAddressOf(Info info);
  Napi::Value remoteAddressOf(Info info);
  Napi::Value setBufferSizesOf(Info info);
  Napi::Value setNoDelayOf(Info info);
  Napi::Value setReceiveLowWaterOf(Info info);
  Napi::Value setUnsentBytesMaxOf(Info info);
  Napi::Value discardUnsentAtCloseOf(Info info);
  Napi::Value unacknowledgedBytesOf(Info info);
  Napi::Value closeSocket(Info info);
  Napi::Value bindDatagramsTo(Info info);
  Napi::Value shareDatagramsOf(Info info);
  Napi::Value connectDatagramsTo(Info info);

  Napi::Value readv(Info info);
  Napi::Value writev(Info info);
  Napi::Value sendfile(Info info);
  Napi::Value readCached(Info info);
  Napi::Value copy(Info info);
  Napi::Value rc4(Info info);

  Napi::Value clockCosts(Info info);
  Napi::Value watch(Info info);
  Napi::Value onReady(Info info);

  Napi::Value submit(Info info);
  Napi::Value openDigest(Info info);
  Napi::Value closeDigest(Info info);

  Napi::Value map(Info info);
  Napi::Value unmap(Info info);
  Napi::Value isIntact(Info info);

  static napi_value jobsPending(napi_env env, napi_callback_info info);
  Napi::Value close(Info info);

  void addArrays(Napi::Object self, const SharedBuffer& slab, const SharedBuffer& tables);
  class Call;

  // Null only if the constructor threw.
  std::shared_ptr<Core> core_;
};

}  // namespace scatterwire
