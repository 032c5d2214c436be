#include "readiness.h"

#include <cerrno>

namespace scatterwire {

namespace {

constexpr int kReadable = 1;
constexpr int kWritable = 2;

static_assert(UV_READABLE == kReadable && UV_WRITABLE == kWritable, "libuv's bits are those of binding.ts");

}  // namespace

Readiness::Readiness(uv_loop_t* loop, size_t capacity, void (*on_closed)(void*), void* owner)
    : loop_(loop), capacity_(capacity), on_closed_(on_closed), owner_(owner) {
  ready_.reserve(2 * capacity);
}

int Readiness::watch(int fd, int events) {
  if (fd < 0) return -EBADF;
  const size_t index = static_cast<size_t>(fd);
  if (index >= watches_.size()) watches_.resize(index + 64, nullptr);
  Watch* watch = watches_[index];
  if (watch == nullptr) {
    if (events == 0) return 0;
    watch = new Watch{{}, this, fd, 0};
    const int result = uv_poll_init(loop_, &watch->poll, fd);
    if (result < 0) {
      delete watch;
      return result;
    }
    watch->poll.data = watch;
    watches_[index] = watch;
    open_++;
  }
  if (watch->events == events) return 0;
  watch->events = events;
  return events == 0 ? uv_poll_stop(&watch->poll) : uv_poll_start(&watch->poll, events, onPoll);
}

void Readiness::onPoll(uv_poll_t* poll, int status, int events) {
  Watch* watch = static_cast<Watch*>(poll->data);
  Readiness* self = watch->readiness;
  if (self->ready_.size() >= 2 * self->capacity_) return;
  // A socket in error is ready for all that it is watched for: the next call on it says what is wrong.
  const int found = status < 0 ? watch->events : events & watch->events;
  // libuv has stopped polling it; if somebody goes on watching, polling starts again.
  if (status < 0) watch->events = 0;
  if (found == 0) return;
  self->ready_.push_back(watch->fd);
  self->ready_.push_back(found);
}

void Readiness::forget(int fd) {
  const size_t index = static_cast<size_t>(fd);
  if (fd < 0 || index >= watches_.size() || watches_[index] == nullptr) return;
  Watch* watch = watches_[index];
  watches_[index] = nullptr;
  for (size_t at = 0; at < ready_.size(); at += 2) {
    if (ready_[at] == fd) ready_[at + 1] = 0;
  }
  uv_poll_stop(&watch->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll), [](uv_handle_t* handle) {
    Watch* closed = static_cast<Watch*>(handle->data);
    Readiness* self = closed->readiness;
    delete closed;
    self->open_--;
    self->on_closed_(self->owner_);
  });
}

void Readiness::forgetAll() {
  for (size_t fd = 0; fd < watches_.size(); fd++) forget(static_cast<int>(fd));
}

size_t Readiness::take(int32_t* pairs) {
  const size_t count = readyCount();
  for (size_t at = 0; at < ready_.size(); at++) pairs[at] = ready_[at];
  ready_.clear();
  return count;
}

}  // namespace scatterwire
