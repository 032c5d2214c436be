{
  "targets": [
    {
      "target_name": "scatterwire",
      "sources": [
        "native/addon.cc",
        "native/address_space.cc",
        "native/digest.cc",
        "native/engine.cc",
        "native/engine_core.cc",
        "native/file_jobs.cc",
        "native/readiness.cc",
        "native/slab.cc",
        "native/sockets.cc",
        "native/vectored_io.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
      "cflags": ["-Wall", "-Wextra", "-Werror"],
      "cflags_cc": ["-std=c++20", "-O3"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
        "GCC_TREAT_WARNINGS_AS_ERRORS": "YES",
        "MACOSX_DEPLOYMENT_TARGET": "11.0"
      }
    }
  ]
}
