// SPDX-License-Identifier: Apache-2.0
#include "core/host/plan.hpp"

#include "core/base/version.hpp"
#include "core/config/offline_host.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

flowd_result PlanSink::take(std::vector<std::optional<Planned>>& all, const flowd_planned& given) {
    if (given.connection >= all.size()) return FLOWD_INVALID;
    if (given.outcome == FLOWD_PLANNED_NOT && given.text.length == 0) return FLOWD_INVALID;
    if (all[given.connection]) return FLOWD_LIMIT;
    const std::uint32_t outcome = given.outcome <= FLOWD_PLANNED_ANY ? given.outcome : std::uint32_t{FLOWD_PLANNED_NOT};
    all[given.connection] = {outcome, given.tag, cut(given.rule), cut(given.text)};
    return FLOWD_OK;
}

std::optional<std::vector<std::optional<Planned>>> plan_of(const InstanceConfig& config, const Registry& registry,
                                                           std::span<const flowd_connection> connections,
                                                           const std::function<void(flowd_level, std::string_view)>& log) {
    const flowd_component& component = *config.component;
    const void* const table = component.offline == nullptr ? nullptr : component.offline(FLOWD_EXT_PLAN);
    const auto offered = copy_sized<flowd_ext_plan>(table);
    if (offered.offline == nullptr) return std::nullopt;
    PlanSink sink(connections.size());
    try {
        const OfflineHost host(registry, config.key, version(), {log, {}});
        if (offered.offline(host.abi(), &config.value(), connections.data(), connections.size(), sizeof(flowd_connection),
                            sink.abi()) != FLOWD_OK)
            log(FLOWD_LEVEL_WARNING, "its plan is incomplete");
    } catch (...) {
        log(FLOWD_LEVEL_ERROR, "the module threw an exception");
    }
    return std::move(sink.received());
}

}  // namespace flowd::core
