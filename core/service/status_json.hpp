// SPDX-License-Identifier: Apache-2.0
// The state of the daemon as JSON: objects of scalars and arrays of flat objects, which the command line prints as
// tables. Members are added, never changed. Main thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/service/control_commands.hpp"
#include "flowd/json.hpp"

namespace flowd::core {

/// `details`: the status of each module as JSON, by instance name.
[[nodiscard]] std::string status_json(const DaemonStatus& daemon, const Supervisor& supervisor, const Services& services,
                                      const std::map<std::string, std::string>& details);
/// One instance in full; `detail`: the status that its module returned; null: none.
[[nodiscard]] std::string instance_status_json(const Instance& instance, const Services& services,
                                               const std::string* detail);
/// As a JSON object.
void write_flow(json::Writer& w, const flowd_flow& flow, const Registry& registry, std::int64_t now_ns);
/// The name, or the number if it has none.
[[nodiscard]] std::string experiment_text(flowd_tag tag, const Registry& registry);
[[nodiscard]] std::string activity_text(flowd_tag tag, const Registry& registry);
[[nodiscard]] std::string metrics_json(const std::vector<MetricSample>& samples);

[[nodiscard]] std::string findings_json(const FindingsBoard::All& findings);
[[nodiscard]] std::string refusals_json(const std::vector<Refusals::Refusal>& refusals);

/// Whether the status of a module is one JSON value.
[[nodiscard]] bool is_json(const std::string& text);

}  // namespace flowd::core
