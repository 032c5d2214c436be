// The sockets of one engine and which of them are ready: libuv polls, and a queue collects what it finds until the
// engine delivers it.
//
// Always: only sockets that were adopted are watched or closed. A socket is in the queue at most once, however often
// libuv reports it in a turn. What is delivered is never more than what is watched: closing a socket or changing its
// watch in the middle of a delivery changes the pairs that were not read yet. A poll handle outlives its socket until
// libuv has closed it.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace scatterwire {

class Readiness {
 public:
  // `pairs`: the shared list of `capacity` pairs (fd, events). `on_closed` is called with `owner` each time a poll
  // handle is gone for good.
  Readiness(uv_loop_t* loop, int32_t* pairs, size_t capacity, void (*on_closed)(void*), void* owner)
      : loop_(loop), pairs_(pairs), capacity_(capacity), on_closed_(on_closed), owner_(owner) {}

  // Takes a new socket in; it is closed by close() or closeAll(). If somebody else closed a socket of ours, and its number comes
  // back, what is left of that one is disposed of.
  void adopt(int fd);
  bool knows(int fd) const { return find(fd) != nullptr; }
  // Bits of binding.ts: 1 readable, 2 writable; 0 stops. 0 or a negative errno (-EBADF: not one of ours).
  int watch(int fd, int events);
  // Stops watching, then closes the socket. 0 or a negative errno.
  int close(int fd);
  void closeAll();

  bool waiting() const { return !queue_.empty(); }
  // Moves what fits from the queue to the shared list; returns the number of pairs. The rest comes at the next call.
  size_t deliver();
  // The shared list was read.
  void delivered() { delivered_count_ = 0; }
  // Poll handles that libuv still knows.
  size_t handlesOpen() const { return handles_open_; }

 private:
  struct Socket {
    uv_poll_t poll;
    Readiness* readiness;
    int fd;
    bool polled = false;     // the handle was initialized
    int watched = 0;         // events that libuv looks for
    int found = 0;           // events found since the last delivery; not 0 if and only if in the queue
    size_t queue_index = 0;  // where in the queue, while found != 0
    size_t pair_index = 0;   // where in the shared list, while that holds this socket
  };
  static void onPoll(uv_poll_t* poll, int status, int events);
  Socket* find(int fd) const;
  int start(Socket* socket, int events);
  void mask(Socket* socket, int events);
  void forget(Socket* socket);
  void dispose(std::unique_ptr<Socket> socket);

  uv_loop_t* loop_;
  int32_t* pairs_;
  size_t capacity_;
  void (*on_closed_)(void*);
  void* owner_;
  std::vector<std::unique_ptr<Socket>> sockets_;  // by fd
  std::vector<Socket*> queue_;                    // nullptr: closed, or watched no longer, since it was found
  size_t socket_count_ = 0;
  size_t delivered_count_ = 0;
  size_t handles_open_ = 0;
};

}  // namespace scatterwire
