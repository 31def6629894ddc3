// SPDX-License-Identifier: Apache-2.0
// lib/bpf/ring.hpp: the reading end of a BPF ring buffer. Belongs to one thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "flowd/result.hpp"

struct ring_buffer;

namespace flowd::bpf {

/// The size of a ring buffer for at least `bytes`: a power of two, of whole pages (ringbuf_map_alloc in the kernel).
[[nodiscard]] constexpr std::uint32_t ring_size(std::uint32_t bytes, std::uint32_t page) {
    return std::bit_ceil(std::max(bytes, page));
}

class Ring {
  public:
    /// A record: valid until the call returns.
    using Callback = std::function<void(std::span<const std::byte> record)>;

    /// `map` is borrowed.
    [[nodiscard]] static Result<Ring> open(int map, Callback callback);
    Ring(Ring&&) noexcept;
    Ring& operator=(Ring&&) noexcept;
    ~Ring();

    [[nodiscard]] int fd() const;  ///< readable while there are records
    /// Calls back for every record that is available.
    void drain();

  private:
    struct Closer {
        void operator()(ring_buffer* ring) const;
    };
    Ring(std::unique_ptr<Callback> callback, ring_buffer* ring);
    std::unique_ptr<Callback> callback_;  // at an address that a move does not change: libbpf keeps it
    std::unique_ptr<ring_buffer, Closer> ring_;
};

}  // namespace flowd::bpf
