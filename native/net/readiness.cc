// See readiness.h.
#include "net/readiness.h"

#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace scatterwire {

static_assert(UV_READABLE == 1 && UV_WRITABLE == 2, "libuv's bits are those of binding.ts");

void Readiness::adopt(int fd) {
  assert(fd >= 0);
  const size_t index = static_cast<size_t>(fd);
  if (index >= sockets_.size()) sockets_.resize(2 * index + 64);
  if (sockets_[index] != nullptr) forget(sockets_[index].get());
  sockets_[index] = std::make_unique<Socket>();
  sockets_[index]->readiness = this;
  sockets_[index]->fd = fd;
  socket_count_++;
  // So that poll callbacks need not grow the queue: each socket is in it once, and may have left one gap behind.
  if (queue_.capacity() < 2 * socket_count_) queue_.reserve(4 * socket_count_);
  assert(find(fd) == sockets_[index].get() && socket_count_ <= sockets_.size());
}

Readiness::Socket* Readiness::find(int fd) const {
  return fd >= 0 && static_cast<size_t>(fd) < sockets_.size() ? sockets_[static_cast<size_t>(fd)].get() : nullptr;
}

int Readiness::watch(int fd, int events) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  assert(socket->fd == fd && socket->readiness == this);
  // libuv would take the socket out of epoll and put it in again.
  if (socket->watched == events) return 0;
  mask(socket, events);
  return start(socket, events);
}

int Readiness::start(Socket* socket, int events) {
  assert((events & ~(UV_READABLE | UV_WRITABLE)) == 0 && find(socket->fd) == socket);
  if (!socket->polled) {
    const int result = uv_poll_init(loop_, &socket->poll, socket->fd);
    if (result < 0) return result;
    socket->polled = true;
    socket->poll.data = socket;
    handles_open_++;
  }
  const int result = events == 0 ? uv_poll_stop(&socket->poll) : uv_poll_start(&socket->poll, events, onPoll);
  socket->watched = result == 0 ? events : 0;
  return result;
}

// Takes back what was found but is not to be told: everything but `events`.
void Readiness::mask(Socket* socket, int events) {
  if (socket->found != 0) {
    assert(socket->queue_index < queue_.size() && queue_[socket->queue_index] == socket);
    socket->found &= events;
    if (socket->found == 0) queue_[socket->queue_index] = nullptr;
  }
  assert(delivered_count_ <= capacity_);
  const size_t at = socket->pair_index;
  if (at < delivered_count_ && pairs_[2 * at] == socket->fd) pairs_[2 * at + 1] &= events;
}

void Readiness::onPoll(uv_poll_t* poll, int status, int events) {
  Socket* socket = static_cast<Socket*>(poll->data);
  Readiness* self = socket->readiness;
  assert(socket->polled && self->find(socket->fd) == socket);
  // A socket in error is ready for all that it is watched for: the next call on it says what is wrong.
  int found = events & socket->watched;
  if (status < 0) {
    found = socket->watched;
    // libuv has stopped the handle; a socket stays watched until TypeScript says otherwise.
    self->start(socket, socket->watched);
  }
  if (found == 0) return;
  if (socket->found == 0) {
    socket->queue_index = self->queue_.size();
    self->queue_.push_back(socket);
  }
  socket->found |= found;
  assert(self->queue_[socket->queue_index] == socket && (socket->found & ~socket->watched) == 0);
}

size_t Readiness::deliver() {
  size_t taken = 0;
  delivered_count_ = 0;
  while (taken < queue_.size() && delivered_count_ < capacity_) {
    Socket* socket = queue_[taken++];
    if (socket == nullptr) continue;
    assert(socket->found != 0 && (socket->found & ~socket->watched) == 0);
    pairs_[2 * delivered_count_] = socket->fd;
    pairs_[2 * delivered_count_ + 1] = socket->found;
    socket->pair_index = delivered_count_++;
    socket->found = 0;
  }
  size_t kept = 0;
  for (size_t index = taken; index < queue_.size(); index++) {
    if (queue_[index] == nullptr) continue;
    queue_[index]->queue_index = kept;
    queue_[kept++] = queue_[index];
  }
  assert(kept <= queue_.size());
  queue_.resize(kept);
  assert(delivered_count_ <= capacity_ && (kept == 0 || delivered_count_ == capacity_));
  return delivered_count_;
}

int Readiness::close(int fd) {
  Socket* socket = find(fd);
  if (socket == nullptr) return -EBADF;
  assert(socket->fd == fd && socket->readiness == this);
  forget(socket);
  // After EINTR the descriptor is gone on Linux and macOS; a second close might hit a stranger's.
  return ::close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

// Its descriptor is not touched.
void Readiness::forget(Socket* socket) {
  mask(socket, 0);
  assert(socket_count_ > 0 && find(socket->fd) == socket);
  dispose(std::move(sockets_[static_cast<size_t>(socket->fd)]));
  socket_count_--;
}

void Readiness::closeAll() {
  for (size_t fd = 0; fd < sockets_.size(); fd++) {
    if (sockets_[fd] != nullptr) close(static_cast<int>(fd));
  }
  assert(socket_count_ == 0);
}

// uv_close takes the descriptor out of epoll at once, and gives the handle back at the end of the turn.
void Readiness::dispose(std::unique_ptr<Socket> socket) {
  assert(socket != nullptr && socket->found == 0);
  if (!socket->polled) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&socket.release()->poll), [](uv_handle_t* handle) {
    Socket* closed = static_cast<Socket*>(handle->data);
    Readiness* self = closed->readiness;
    delete closed;
    assert(self->handles_open_ > 0);
    self->handles_open_--;
    self->on_closed_(self->owner_);
  });
}

}  // namespace scatterwire
