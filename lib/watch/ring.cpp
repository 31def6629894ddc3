// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/ring.hpp"

#include <bpf/libbpf.h>

#include <cerrno>
#include <utility>

#include "lib/bpf/error.hpp"

namespace flowd::watch {

void Ring::Closer::operator()(ring_buffer* ring) const {
    ring_buffer__free(ring);
}

Result<Ring> Ring::open(int map, Visitor visitor) {
    auto kept = std::make_unique<Visitor>(std::move(visitor));
    const auto call = [](void* context, void* data, std::size_t size) {
        (*static_cast<Visitor*>(context))({static_cast<const std::byte*>(data), size});
        return 0;
    };
    ring_buffer* const ring = ring_buffer__new(map, call, kept.get(), nullptr);
    if (ring == nullptr) return bpf::system_error(errno, "opening a BPF ring buffer");
    return Ring(std::move(kept), ring);
}

int Ring::fd() const {
    return ring_buffer__epoll_fd(ring_.get());
}

void Ring::consume() {
    ring_buffer__consume(ring_.get());
}

}  // namespace flowd::watch
