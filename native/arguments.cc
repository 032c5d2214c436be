// See arguments.h. The slow paths: what an exception says.
#include "arguments.h"

namespace scatterwire {

double Arguments::wrongType(size_t index, const char* expected) {
  if (failed_) return 0;
  failed_ = true;
  Napi::TypeError::New(info_.Env(), "argument " + std::to_string(index + 1) + ": expected " + expected)
      .ThrowAsJavaScriptException();
  return 0;
}

double Arguments::wrongRange(size_t index, double low, double high) {
  if (failed_) return 0;
  failed_ = true;
  const std::string received = info_[index].ToString().Utf8Value();
  Napi::RangeError::New(info_.Env(), "argument " + std::to_string(index + 1) + ": expected an integer from " +
                                         std::to_string(static_cast<int64_t>(low)) + " to " +
                                         std::to_string(static_cast<int64_t>(high)) + ", received " + received)
      .ThrowAsJavaScriptException();
  return 0;
}

void Arguments::refuse(const char* message) {
  if (failed_) return;
  failed_ = true;
  Napi::RangeError::New(info_.Env(), message).ThrowAsJavaScriptException();
}

}  // namespace scatterwire
