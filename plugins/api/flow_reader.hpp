// SPDX-License-Identifier: Apache-2.0
// The body of POST /flow and /flows: one or several announcements, in any of the supported forms. Belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/event.hpp"
#include "flowd/host.hpp"
#include "flowd/result.hpp"

namespace flowd::api {

/// A flow that is not announced.
struct RefusedFlow {
    std::size_t flow;  ///< its place in the body
    std::string detail;
};

/// A body whose flows are answered one by one.
struct EachFlow {
    std::vector<Event> events;
    std::vector<std::size_t> places;  ///< of the events in the body
    std::vector<RefusedFlow> refused;
};

/// Recognises a form by a member that no other form has: "flow-lifecycle" (firefly), "source" (own), "Src" (flowd-go).
class FlowReader {
  public:
    /// `most`: limit of the announcements in one body.
    explicit FlowReader(Registry registry, std::size_t most = 10'000);
    FlowReader(const FlowReader&) = delete;
    FlowReader& operator=(const FlowReader&) = delete;
    ~FlowReader();

    /// All announcements of the body or none. The error names the position and the cause.
    [[nodiscard]] Result<std::vector<Event>> read(std::string_view body);
    /// Those that can be read, and why others cannot. An error concerns the body as a whole.
    [[nodiscard]] Result<EachFlow> read_each(std::string_view body);

  private:
    struct State;  // keeps simdjson out of this header
    std::unique_ptr<State> state_;
};

}  // namespace flowd::api
