// Arguments of a call from TypeScript, checked as they are read. Plain Node-API: nothing here allocates unless it throws.
//
// Always: at most one exception is thrown per call, for the first wrong argument; a wrong argument reads as a harmless
// value, so that a caller reads all of them and then asks once whether one failed.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

namespace scatterwire {

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  // An integer from `low` to `high`. Throws a TypeError for what is no number, and a RangeError for any other number.
  double integer(size_t index, double low, double high) {
    double value = 0;
    if (napi_get_value_double(info_.Env(), info_[index], &value) != napi_ok) return wrongType(index, "a number");
    // NaN compares false. `low` and `high` are within 2^53, so the cast is safe.
    if (value >= low && value <= high && static_cast<double>(static_cast<int64_t>(value)) == value) return value;
    return wrongRange(index, low, high);
  }
  int descriptor(size_t index) { return static_cast<int>(integer(index, INT32_MIN, INT32_MAX)); }
  // Any number, also one that names nothing: whoever looks it up finds out. Throws a TypeError for what is no number.
  double number(size_t index) {
    double value = 0;
    if (napi_get_value_double(info_.Env(), info_[index], &value) != napi_ok) return wrongType(index, "a number");
    return value;
  }
  bool boolean(size_t index) {
    bool value = false;
    if (napi_get_value_bool(info_.Env(), info_[index], &value) != napi_ok) wrongType(index, "a boolean");
    return value;
  }
  // The bytes of a Uint8Array that has `length` of them, valid during the call; null if it is none.
  uint8_t* bytes(size_t index, size_t length) {
    const Elements array = elements(index, napi_uint8_array, "a Uint8Array of the right length");
    if (array.count != length) wrongType(index, "a Uint8Array of the right length");
    return failed_ ? nullptr : static_cast<uint8_t*>(array.data);
  }
  // Memory of an array, valid during the call; null where it is empty. `count`: in elements, not in bytes.
  struct Elements {
    void* data = nullptr;
    size_t count = 0;
  };
  // Throws a TypeError for what is no array of that type.
  Elements elements(size_t index, napi_typedarray_type type, const char* expected) {
    Elements found;
    bool is_array = false;
    napi_is_typedarray(info_.Env(), info_[index], &is_array);
    napi_typedarray_type its_type = napi_int8_array;
    if (is_array)
      napi_get_typedarray_info(info_.Env(), info_[index], &its_type, &found.count, &found.data, nullptr, nullptr);
    if (is_array && its_type == type) return found;
    wrongType(index, expected);
    return {};
  }
  std::string text(size_t index) {
    if (info_[index].IsString()) return info_[index].As<Napi::String>().Utf8Value();
    wrongType(index, "a string");
    return {};
  }

  // Throws a RangeError, unless something was thrown already.
  void refuse(const char* message);
  // Throws a TypeError likewise, and answers 0.
  double wrongType(size_t index, const char* expected);
  bool failed() const { return failed_; }

 private:
  double wrongRange(size_t index, double low, double high);

  const Napi::CallbackInfo& info_;
  bool failed_ = false;
};

}  // namespace scatterwire
