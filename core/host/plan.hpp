// SPDX-License-Identifier: Apache-2.0
// What configured instances would do with the sockets of this host (flowd/abi/ext/plan.h). Values; a sink is used on the
// thread of its call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/configuration.hpp"
#include "core/config/registry.hpp"
#include "core/host/sink.hpp"
#include "flowd/abi/ext/plan.h"

namespace flowd::core {

struct Planned {
    std::uint32_t outcome = FLOWD_PLANNED_NOT;
    flowd_tag tag{};
    std::string rule;
    std::string text;
};

/// The plan of one instance, by index of the connection.
class PlanSink final : public Sink<flowd_plan, flowd_planned, std::vector<std::optional<Planned>>> {
  public:
    explicit PlanSink(std::size_t connections) : Sink(take, std::vector<std::optional<Planned>>(connections)) {}

  private:
    static flowd_result take(std::vector<std::optional<Planned>>& all, const flowd_planned& given);
};

/// Asks the component of an instance; empty if it does not offer flowd.plan/1. `log`: log lines of the module, and why the
/// plan is incomplete.
[[nodiscard]] std::optional<std::vector<std::optional<Planned>>> plan_of(
    const InstanceConfig& config, const Registry& registry, std::span<const flowd_connection> connections,
    const std::function<void(flowd_level, std::string_view)>& log);

}  // namespace flowd::core
