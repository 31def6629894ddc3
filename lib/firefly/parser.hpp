// SPDX-License-Identifier: Apache-2.0
// lib/firefly/parser.hpp: reads fireflies in every form that emitters send. A Parser belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "lib/firefly/firefly.hpp"
#include "lib/firefly/refusal.hpp"

namespace flowd::firefly {

/// Accepts what docs/firefly.md lists under "Accepted forms" and refuses the rest with a reason.
/// Reuses its memory: the texts of a Firefly are valid until the next call.
class Parser {
  public:
    /// `capacity`: the longest datagram, in bytes; longer ones are refused as truncated.
    explicit Parser(std::size_t capacity = 65536);
    Parser(Parser&&) noexcept;
    Parser& operator=(Parser&&) noexcept;
    ~Parser();

    /// Refusal::none fills `firefly`; after any other result its content is unspecified.
    [[nodiscard]] Refusal parse(std::string_view datagram, Firefly& firefly);

  private:
    struct State;  // keeps simdjson out of this header
    std::unique_ptr<State> state_;
};

}  // namespace flowd::firefly
