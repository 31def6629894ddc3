// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/ring.hpp"

#include <bpf/libbpf.h>

#include <cerrno>
#include <utility>

#include "lib/bpf/error.hpp"

namespace flowd::bpf {

void Ring::Closer::operator()(ring_buffer* ring) const {
    ring_buffer__free(ring);
}

Ring::Ring(std::unique_ptr<Callback> callback, ring_buffer* ring) : callback_(std::move(callback)), ring_(ring) {}
Ring::Ring(Ring&&) noexcept = default;
Ring& Ring::operator=(Ring&&) noexcept = default;
Ring::~Ring() = default;

Result<Ring> Ring::open(int map, Callback callback) {
    auto kept = std::make_unique<Callback>(std::move(callback));
    const auto call = [](void* user, void* data, std::size_t size) {
        (*static_cast<Callback*>(user))({static_cast<const std::byte*>(data), size});
        return 0;
    };
    ring_buffer* const ring = ring_buffer__new(map, call, kept.get(), nullptr);
    if (ring == nullptr) return system_error(errno, "opening a BPF ring buffer");
    return Ring(std::move(kept), ring);
}

int Ring::fd() const {
    return ring_buffer__epoll_fd(ring_.get());
}

void Ring::drain() {
    (void)ring_buffer__consume(ring_.get());
}

}  // namespace flowd::bpf
