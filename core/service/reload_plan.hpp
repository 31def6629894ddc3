// SPDX-License-Identifier: Apache-2.0
// The effect of a new configuration on the running instances. A value; main thread.
#pragma once

#include <memory>
#include <vector>

#include "core/config/configuration.hpp"
#include "core/modules/instance.hpp"

namespace flowd::core {

struct ReloadPlan {
    enum class Way {
        keep,         ///< runs on, untouched
        reconfigure,  ///< takes its new values while it runs
        replace,      ///< a new instance takes over from the old one
        add,
    };
    struct Change {
        Way way = Way::add;
        std::shared_ptr<const InstanceConfig> config;    ///< the new one
        std::shared_ptr<const InstanceConfig> previous;  ///< the old one; null for `add`
        Instance* old = nullptr;
        std::unique_ptr<Instance> fresh;  ///< for `replace` and `add`
    };

    std::vector<Change> changes;     ///< one for each instance of the new configuration, in its order
    std::vector<Instance*> removed;  ///< that it does not name
};

/// Instances are matched by kind and key. One that does not run is replaced even if its values are the same.
[[nodiscard]] ReloadPlan plan_reload(const std::vector<std::unique_ptr<Instance>>& running,
                                     std::vector<InstanceConfig> configs);

}  // namespace flowd::core
