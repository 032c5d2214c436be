// The face of a batch of datagrams in JavaScript: `NativeDatagramBatch` of src/native/binding.ts.
//
// Always: the memory of a batch is its own, and lives as long as the batch or the arrays that show it, whichever is longer.
// A method checks its arguments and answers a number; misuse throws and does nothing.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "memory/slab.h"
#include "net/datagrams.h"

namespace scatterwire {

class DatagramBatchObject : public Napi::ObjectWrap<DatagramBatchObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit DatagramBatchObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value receive(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  bool detached() const;

  std::shared_ptr<SharedMemory> memory_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  size_t entries_ = 0;
  std::optional<DatagramBatch> batch_;
};

}  // namespace scatterwire
