// SPDX-License-Identifier: Apache-2.0
// flowd/tool.hpp: commands of a component that need no running daemon: `flowd-cpp hello greet --to world`.
//
//   struct GreetOptions { std::string to; static const flowd::Table<GreetOptions>& table(); };
//   flowd::Result<void> greet(GreetOptions options, flowd::ToolCall& call);
//   ... in the component:
//   static std::vector<flowd::Tool> tools() { return {flowd::tool<&greet>("greet", "Greets somebody.")}; }
//
// A tool runs in the process of the command line, on its main thread, with the rights of the user.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "flowd/abi/ext/tool.h"
#include "flowd/detail/step.hpp"
#include "flowd/host.hpp"
#include "flowd/options.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd {

/// The services that a tool may use. Valid until it returns.
class ToolCall {
  public:
    ToolCall(Host& host, const flowd_tool_call& call) : host_(host), call_(call) {}
    ToolCall(const ToolCall&) = delete;
    ToolCall& operator=(const ToolCall&) = delete;

    /// For logging and the registry only: it has no loop.
    [[nodiscard]] Host& host() const { return host_; }
    /// Readable once the user interrupts the tool. Do not read or close it.
    [[nodiscard]] int interrupt_fd() const { return call_.interrupt_fd; }
    /// The component's options from the configuration file. Empty if it is not configured, or if the file cannot be
    /// read or used by this user.
    template <typename Options>
    [[nodiscard]] Result<std::optional<Options>> config() const {
        if (call_.config == nullptr) return std::optional<Options>();
        auto read = Options::table().read(*call_.config);
        if (!read) return std::move(read).error();
        return std::optional<Options>(std::move(read).value());
    }
    /// Prints one JSON value at once. False: the reader has closed, return.
    bool print(std::string_view json) { return call_.output->write(call_.output, to_c(json)) == FLOWD_OK; }

  private:
    Host& host_;
    const flowd_tool_call& call_;
};

/// One row of T::tools(). Made by tool().
struct Tool {
    const char* name;     ///< one word
    const char* summary;  ///< one line
    const flowd_option* options;
    std::size_t option_count;
    flowd_result (*run)(const flowd_tool_call* call);
};

namespace detail {

template <auto Run>
struct ToolEntry;

template <typename Options, Result<void> (*Run)(Options, ToolCall&)>
struct ToolEntry<Run> {
    static const auto& table() { return Options::table(); }
    static flowd_result run(const flowd_tool_call* raw) noexcept {
        const auto call = copy_sized<flowd_tool_call>(raw);
        return step(call.host, "a tool", [&]() -> Result<void> {
            auto host = Host::make(call.host);
            if (!host) return std::move(host).error();
            auto options = table().read(*call.options);
            if (!options) return std::move(options).error();
            ToolCall borrowed(**host, call);
            return Run(std::move(options).value(), borrowed);
        });
    }
};

}  // namespace detail

/// `Run` is a function Result<void>(Options, ToolCall&); its options are written --name VALUE.
template <auto Run>
Tool tool(const char* name, const char* summary) {
    using Entry = detail::ToolEntry<Run>;
    return {name, summary, Entry::table().rows(), Entry::table().size(), &Entry::run};
}

}  // namespace flowd
