// See datagram_batch.h.
#include "datagram_batch.h"

#include "arguments.h"

namespace scatterwire {

namespace {

// Payload first, so that it begins at a page; then what needs less and less alignment.
struct Layout {
  explicit Layout(const DatagramShape& shape)
      : addresses(shape.entries * shape.slot_bytes),
        lengths(addresses + shape.entries * kAddressWords * sizeof(uint32_t)),
        ports(lengths + shape.entries * sizeof(int32_t)),
        size(ports + shape.entries * sizeof(uint16_t)) {}
  size_t addresses;
  size_t lengths;
  size_t ports;
  size_t size;
};

}  // namespace

Napi::Function DatagramBatchObject::define(Napi::Env env) {
  return DefineClass(env, "NativeDatagramBatch",
                     {
                         InstanceMethod<&DatagramBatchObject::receive>("receive"),
                         InstanceMethod<&DatagramBatchObject::send>("send"),
                     });
}

// Arguments: entries, slotBytes, family (4 or 6), portable, and, not in the contract, ordinaryBuffers as for engines.
DatagramBatchObject::DatagramBatchObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DatagramBatchObject>(info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info);
  DatagramShape shape;
  shape.entries = static_cast<size_t>(arguments.integer(0, 1, kDatagramEntriesMax));
  shape.slot_bytes = static_cast<size_t>(arguments.integer(1, 8, kDatagramSlotBytesMax));
  shape.ipv6 = arguments.integer(2, 4, 6) == 6;
  shape.portable = arguments.boolean(3);
  if (!arguments.failed() && shape.slot_bytes % 8 != 0) arguments.refuse("slotBytes: expected a multiple of 8");
  if (arguments.failed()) return;
  const bool ordinary = info[4].ToBoolean();
  const Layout at(shape);
  const SharedBuffer shared = createSharedBuffer(env, at.size, ordinary);
  if (shared.memory == nullptr || env.IsExceptionPending()) {
    if (!env.IsExceptionPending()) {
      Napi::RangeError::New(env, "there is no memory for the datagrams").ThrowAsJavaScriptException();
    }
    return;
  }
  char* data = shared.memory->data();
  DatagramTables tables;
  tables.payload = reinterpret_cast<uint8_t*>(data);
  tables.addresses = reinterpret_cast<uint32_t*>(data + at.addresses);
  tables.lengths = reinterpret_cast<int32_t*>(data + at.lengths);
  tables.ports = reinterpret_cast<uint16_t*>(data + at.ports);
  memory_ = shared.memory;
  buffer_ = Napi::Persistent(shared.buffer);
  entries_ = shape.entries;
  batch_.emplace(tables, shape);
  const auto addresses =
      Napi::Uint32Array::New(env, entries_ * kAddressWords, shared.buffer, shared.offset + at.addresses);
  const auto lengths = Napi::Int32Array::New(env, entries_, shared.buffer, shared.offset + at.lengths);
  const auto ports = Napi::Uint16Array::New(env, entries_, shared.buffer, shared.offset + at.ports);
  const auto payload = Napi::Uint8Array::New(env, at.addresses, shared.buffer, shared.offset);
  info.This().As<Napi::Object>().DefineProperties({
      Napi::PropertyDescriptor::Value("ordinaryBuffers", Napi::Boolean::New(env, !memory_->mapped()), napi_enumerable),
      Napi::PropertyDescriptor::Value("payload", payload, napi_enumerable),
      Napi::PropertyDescriptor::Value("addresses", addresses, napi_enumerable),
      Napi::PropertyDescriptor::Value("lengths", lengths, napi_enumerable),
      Napi::PropertyDescriptor::Value("ports", ports, napi_enumerable),
  });
}

// Only in hosts where the memory belongs to JavaScript.
bool DatagramBatchObject::detached() const { return !memory_->mapped() && buffer_.Value().IsDetached(); }

Napi::Value DatagramBatchObject::receive(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.descriptor(0);
  const size_t count = static_cast<size_t>(arguments.integer(1, 1, static_cast<double>(entries_)));
  if (detached()) arguments.refuse("the batch's memory was transferred");
  if (arguments.failed()) return Napi::Value();
  return Napi::Number::New(info.Env(), batch_->receive(fd, count));
}

Napi::Value DatagramBatchObject::send(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int fd = arguments.descriptor(0);
  const size_t first = static_cast<size_t>(arguments.integer(1, 0, static_cast<double>(entries_ - 1)));
  const size_t count = static_cast<size_t>(arguments.integer(2, 1, static_cast<double>(entries_)));
  if (detached()) arguments.refuse("the batch's memory was transferred");
  if (!arguments.failed() && first + count > entries_) arguments.refuse("the batch has fewer entries");
  if (arguments.failed()) return Napi::Value();
  return Napi::Number::New(info.Env(), batch_->send(fd, first, count));
}

}  // namespace scatterwire
