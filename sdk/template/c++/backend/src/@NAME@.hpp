// SPDX-License-Identifier: Apache-2.0
// A sink of flow events: writes a line for each flow that starts, gets another tag or ends, and counts them.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "flowd/module.hpp"

namespace @NAME@_module {

struct Options {
    bool quiet = false;
    static const flowd::Table<Options>& table();
};

class @CLASS@ final : public flowd::Backend {
  public:
    using Options = @NAME@_module::Options;
    static constexpr flowd::Info info{.name = "@NAME@",
                                      .summary = "Writes a line for each flow that starts, gets another tag or ends.",
                                      .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING |
                                                 1u << FLOWD_EVENT_END};

    @CLASS@(flowd::Host& host, Options options);

    flowd::Taken on_events(const flowd::Events& events) override;
    flowd::Result<void> reconfigure(Options options);
    void status(flowd::json::Writer& object) const override;

    static std::vector<flowd::Command<@CLASS@>> commands();

  private:
    void write(std::string_view what, const flowd::EventView& event, flowd::Counter& counter);
    flowd::Result<void> quiet(const std::vector<std::string_view>& arguments, flowd::json::Writer& answer);

    Options options_;
    std::unordered_map<std::uint64_t, flowd_tag> live_;  ///< by flow id
    flowd::Counter started_;
    flowd::Counter retagged_;
    flowd::Counter ended_;
};

}  // namespace @NAME@_module
