// SPDX-License-Identifier: Apache-2.0
// What a new configuration changes in the running instances. A value; main thread.
#pragma once

#include <memory>
#include <vector>

#include "core/config/configuration.hpp"
#include "core/modules/instance.hpp"

namespace flowd::core {

struct ReloadPlan {
    enum class Way {
        keep,         ///< keeps running, unchanged
        reconfigure,  ///< keeps running and receives new values
        replace,      ///< a new instance replaces the old one
        add,
    };
    struct Change {
        Way way = Way::add;
        std::shared_ptr<const InstanceConfig> config;    ///< the new one
        std::shared_ptr<const InstanceConfig> previous;  ///< the old one; null for `add`
        Instance* old = nullptr;
        std::unique_ptr<Instance> fresh;  ///< for `replace` and `add`
    };

    std::vector<Change> changes;     ///< one per instance of the new configuration, in its order
    std::vector<Instance*> removed;  ///< instances that the new configuration does not contain
};

/// Instances are matched by kind and key. An instance that is not running is replaced even if its values are equal.
[[nodiscard]] ReloadPlan plan_reload(const std::vector<std::unique_ptr<Instance>>& running,
                                     std::vector<InstanceConfig> configs);

}  // namespace flowd::core
