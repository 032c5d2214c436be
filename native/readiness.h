// Which sockets are ready: libuv polls, and one list per loop turn collects what it found.
//
// Always: level-triggered; a socket that does not fit the list is found again at the next turn. A poll handle outlives
// its socket until libuv has closed it.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace scatterwire {

class Readiness {
 public:
  // `on_closed` is called with `owner` each time a handle is gone for good.
  Readiness(uv_loop_t* loop, size_t capacity, void (*on_closed)(void*), void* owner);

  // Bits of binding.ts: 1 readable, 2 writable; 0 stops. 0 or a negative errno.
  int watch(int fd, int events);
  // Must come before the socket is closed.
  void forget(int fd);
  // Forgets all; on_closed follows for each handle that is open().
  void forgetAll();

  size_t readyCount() const { return ready_.size() / 2; }
  // Copies the pairs (fd, events) out and empties the list.
  size_t take(int32_t* pairs);
  size_t open() const { return open_; }

 private:
  struct Watch {
    uv_poll_t poll;
    Readiness* readiness;
    int fd;
    int events;
  };
  static void onPoll(uv_poll_t* poll, int status, int events);

  uv_loop_t* loop_;
  size_t capacity_;
  void (*on_closed_)(void*);
  void* owner_;
  std::vector<Watch*> watches_;
  std::vector<int32_t> ready_;
  size_t open_ = 0;
};

}  // namespace scatterwire
