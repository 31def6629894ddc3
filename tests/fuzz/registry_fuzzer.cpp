// SPDX-License-Identifier: Apache-2.0
// Whatever a registry holds: it is read, and each name leads to an id of that name, or it is refused with a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/config/registry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto registry = flowd::core::Registry::parse({reinterpret_cast<const char*>(data), size});
    if (!registry) {
        if (registry.error().message.empty()) std::abort();
        return 0;
    }
    for (const auto& [id, experiment] : registry->experiments()) {
        if (registry->experiment_name(id) != experiment.name || !registry->experiment_id(experiment.name)) std::abort();
        for (const auto& [activity, name] : experiment.activities) {
            if (registry->activity_name(id, activity) != name || !registry->activity_id(id, name)) std::abort();
            (void)registry->common_activity_id(name);
        }
    }
    return 0;
}
