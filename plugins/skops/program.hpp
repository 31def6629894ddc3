// SPDX-License-Identifier: Apache-2.0
// The skops enricher's BPF programs, loaded. Belongs to one thread, whose network namespace is the one that is sampled.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bpf/skops_types.h"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/ring.hpp"
#include "plugins/skops/options.hpp"

namespace flowd::skops {

class Program {
  public:
    using Visitor = std::function<void(const skops_record&)>;

    /// Loads and attaches what the strategy needs. transition: drain() calls `told` for each change of state.
    [[nodiscard]] static Result<Program> load(const SkopsOptions& options, bpf::LogSink log, Visitor told);

    /// poll: walks all sockets once.
    Result<void> walk(const Visitor& visitor);

    /// transition: the descriptor to watch; when it is readable, call drain().
    [[nodiscard]] int fd() const { return ring_ ? ring_->fd() : -1; }
    void drain() { ring_->drain(); }
    /// Changes of state that were lost because the ring buffer was full.
    [[nodiscard]] std::uint64_t lost() const;

  private:
    explicit Program(bpf::Object object) : object_(std::move(object)) {}

    bpf::Object object_;
    std::optional<bpf::Ring> ring_;
    UniqueFd link_;
    std::vector<std::byte> buffer_;
};

}  // namespace flowd::skops
