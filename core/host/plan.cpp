// SPDX-License-Identifier: Apache-2.0
#include "core/host/plan.hpp"

#include "core/base/guarded.hpp"
#include "core/base/version.hpp"
#include "core/config/offline_host.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {
constexpr std::size_t max_plan_text = 1024;  // bytes of each text; longer texts are truncated
}

PlanSink::PlanSink(std::size_t connections) : planned_(connections) {
    abi_.size = sizeof abi_;
    abi_.context = this;
    abi_.add = &PlanSink::add;
}

flowd_result PlanSink::add(const flowd_plan* self, const flowd_planned* planned) {
    if (planned == nullptr) return FLOWD_INVALID;
    return guarded([&]() -> flowd_result {
        const auto given = copy_sized<flowd_planned>(planned);
        auto& all = static_cast<PlanSink*>(self->context)->planned_;
        if (given.connection >= all.size()) return FLOWD_INVALID;
        if (given.outcome == FLOWD_PLANNED_NOT && given.text.length == 0) return FLOWD_INVALID;
        if (all[given.connection]) return FLOWD_LIMIT;
        const std::uint32_t outcome = given.outcome <= FLOWD_PLANNED_ANY ? given.outcome : std::uint32_t{FLOWD_PLANNED_NOT};
        all[given.connection] = {outcome, given.tag, std::string(to_view(given.rule).substr(0, max_plan_text)),
                                 std::string(to_view(given.text).substr(0, max_plan_text))};
        return FLOWD_OK;
    });
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
    return std::move(sink.planned());
}

}  // namespace flowd::core
