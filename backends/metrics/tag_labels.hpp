// SPDX-License-Identifier: Apache-2.0
// Experiments and activities in labels. Any thread.
#pragma once

#include <string>
#include <utility>

#include "flowd/host.hpp"

namespace flowd::metrics {

class TagLabels {
  public:
    TagLabels(const Registry& registry, bool names) : registry_(registry), names_(names) {}

    /// Experiment and activity: by name if configured and known, otherwise by number.
    [[nodiscard]] std::pair<std::string, std::string> of(flowd_tag tag) const {
        return {name_or(tag.experiment, registry_.experiment_name(tag.experiment)),
                name_or(tag.activity, registry_.activity_name(tag.experiment, tag.activity))};
    }
    [[nodiscard]] bool is_registered(flowd_tag tag) const {
        return !registry_.activity_name(tag.experiment, tag.activity).empty();
    }

  private:
    [[nodiscard]] std::string name_or(std::uint32_t id, std::string_view name) const {
        return names_ && !name.empty() ? std::string(name) : std::to_string(id);
    }

    Registry registry_;
    bool names_;
};

}  // namespace flowd::metrics
