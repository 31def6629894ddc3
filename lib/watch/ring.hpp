// SPDX-License-Identifier: Apache-2.0
// lib/watch/ring.hpp: reads a BPF ring buffer. Belongs to one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "flowd/result.hpp"

struct ring_buffer;

namespace flowd::watch {

class Ring {
  public:
    using Visitor = std::function<void(std::span<const std::byte> entry)>;

    /// `map` has to outlive it. The visitor is called by consume().
    [[nodiscard]] static Result<Ring> open(int map, Visitor visitor);

    /// For watching.
    [[nodiscard]] int fd() const;
    /// Everything that is there; never blocks.
    void consume();

  private:
    struct Closer {
        void operator()(ring_buffer* ring) const;
    };
    Ring(std::unique_ptr<Visitor> visitor, ring_buffer* ring) : visitor_(std::move(visitor)), ring_(ring) {}

    std::unique_ptr<Visitor> visitor_;  // at an address that stays
    std::unique_ptr<ring_buffer, Closer> ring_;
};

}  // namespace flowd::watch
