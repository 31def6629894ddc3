// SPDX-License-Identifier: Apache-2.0
#include "core/service/reload_plan.hpp"

#include <algorithm>

namespace flowd::core {

ReloadPlan plan_reload(const std::vector<std::unique_ptr<Instance>>& running, std::vector<InstanceConfig> configs) {
    ReloadPlan plan;
    for (const auto& instance : running) plan.removed.push_back(instance.get());
    for (InstanceConfig& config : configs) {
        ReloadPlan::Change change;
        change.config = std::make_shared<const InstanceConfig>(std::move(config));
        const auto old = std::find_if(plan.removed.begin(), plan.removed.end(), [&](const Instance* instance) {
            return instance->kind() == change.config->kind && instance->key() == change.config->key;
        });
        if (old != plan.removed.end()) {
            change.old = *old;
            change.previous = change.old->config();
            plan.removed.erase(old);
            const bool runs = change.old->state() == InstanceState::running;
            const bool same_code = change.previous->component == change.config->component;
            const bool always = same_code && change.config->component->reconfigure != nullptr &&
                                (change.config->component->flags & FLOWD_COMPONENT_RECONFIGURE_ALWAYS) != 0;
            if (runs && !always && change.config->same_as(*change.previous))
                change.way = ReloadPlan::Way::keep;
            else if (runs && same_code && change.config->component->reconfigure != nullptr)
                change.way = ReloadPlan::Way::reconfigure;
            else
                change.way = ReloadPlan::Way::replace;
        }
        plan.changes.push_back(std::move(change));
    }
    return plan;
}

}  // namespace flowd::core
