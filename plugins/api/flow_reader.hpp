// SPDX-License-Identifier: Apache-2.0
// The body of POST /flow: one announcement or several, in any of the forms that are understood. Belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "flowd/event.hpp"
#include "flowd/host.hpp"
#include "flowd/result.hpp"

namespace flowd::api {

/// Tells the forms by a member that only one of them has: "flow-lifecycle" a firefly, "source" ours, "Src" flowd-go's.
class FlowReader {
  public:
    /// `most` announcements in one body.
    explicit FlowReader(Registry registry, std::size_t most = 10'000);
    FlowReader(const FlowReader&) = delete;
    FlowReader& operator=(const FlowReader&) = delete;
    ~FlowReader();

    /// All of the body or nothing. The error says where and what.
    [[nodiscard]] Result<std::vector<Event>> read(std::string_view body);

  private:
    struct State;  // keeps simdjson out of this header
    std::unique_ptr<State> state_;
};

}  // namespace flowd::api
