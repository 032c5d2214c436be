{
  "targets": [
    {
      "target_name": "scatterwire",
      "sources": [
        "native/addon.cc",
        "native/arguments.cc",
        "native/cipher/rc4.cc",
        "native/digest/compressors.cc",
        "native/core.cc",
        "native/datagram_batch.cc",
        "native/digest/digest.cc",
        "native/digest/digest_queue.cc",
        "native/engine.cc",
        "native/engine_sizes.cc",
        "native/files/file_calls.cc",
        "native/files/file_jobs.cc",
        "native/files/file_look.cc",
        "native/memory/mapped_regions.cc",
        "native/memory/mappings.cc",
        "native/net/datagrams.cc",
        "native/net/readiness.cc",
        "native/digest/sha_avx2.cc",
        "native/digest/sha_avx512.cc",
        "native/digest/sha_ni.cc",
        "native/digest/sha_openssl.cc",
        "native/memory/slab.cc",
        "native/net/sockets.cc",
        "native/net/vectored_io.cc",
        "native/work/worker_pool.cc"
      ],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
        "CLANG_CXX_LIBRARY": "libc++",
        "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
        "MACOSX_DEPLOYMENT_TARGET": "11.0",
        "WARNING_CFLAGS": ["-Wall", "-Wextra"]
      },
      "configurations": {
        "Release": { "defines": ["NDEBUG"] }
      }
    }
  ]
}
