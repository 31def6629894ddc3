// SPDX-License-Identifier: Apache-2.0
// Findings of modules and explanations of flows, collected during one call (flowd/abi/ext/findings.h, explain.h). Values
// and sinks; a sink is used on the thread of its call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/configuration.hpp"
#include "core/config/offline_host.hpp"
#include "core/host/metrics.hpp"
#include "core/host/sink.hpp"
#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "flowd/json.hpp"

namespace flowd::core {

struct Finding {
    flowd_level severity = FLOWD_LEVEL_INFO;
    std::string id;
    std::string subject;
    std::string found;
    std::string expected;
    std::string remedy;
    std::int64_t since_ns = 0;
};

class FindingSink final : public Sink<flowd_findings, flowd_finding, std::vector<Finding>> {
  public:
    static constexpr std::size_t most = 256;
    FindingSink() : Sink(take) {}

  private:
    static flowd_result take(std::vector<Finding>& findings, const flowd_finding& given);
};

struct Explanation {
    std::string verdict;
    std::string subject;
    std::string text;
    std::int64_t time_ns = 0;
    bool is_refusal = false;
    std::optional<std::uint32_t> label = {};
    std::optional<flowd_tag> tag = {};
};

/// The explanations of a batch of flows, by index of the flow.
class ExplanationSink final : public Sink<flowd_explanations, flowd_explanation, std::vector<std::vector<Explanation>>> {
  public:
    static constexpr std::size_t most = 64;  ///< for one flow
    explicit ExplanationSink(std::size_t flows = 1) : Sink(take, std::vector<std::vector<Explanation>>(flows)) {}

  private:
    static flowd_result take(std::vector<std::vector<Explanation>>& of_flows, const flowd_explanation& given);
};

/// The findings of each instance at the last check. Any thread.
class FindingsBoard {
  public:
    using All = std::map<std::string, std::vector<Finding>>;  ///< by instance

    /// A finding without a time gets the time at which it was first seen.
    void set(const std::string& instance, std::vector<Finding> findings);
    /// Removes the findings of all other instances.
    void keep_only(const std::vector<std::string>& instances);
    [[nodiscard]] All all() const;
    /// The series flowd_findings by instance, severity and id.
    [[nodiscard]] std::vector<MetricSample> metrics() const;

  private:
    mutable std::mutex mutex_;
    All all_;
};

/// The problems of a configuration that remain findings while it is in force.
[[nodiscard]] std::vector<Finding> findings_of(const Problems& problems);

/// The findings of a configured instance on this host, without running it, with the caller's privileges. May resolve
/// names. `log`: log lines of the module, and why the check failed. `interfaces`: the published interfaces, if instances
/// are checked in sequence, backends first; otherwise null.
[[nodiscard]] std::vector<Finding> host_findings(const InstanceConfig& config, const Registry& registry,
                                                 const std::function<void(flowd_level, std::string_view)>& log,
                                                 std::vector<OfflineHost::Interface>* interfaces = nullptr);

/// "note", "warning" or "error".
[[nodiscard]] std::string_view severity_name(flowd_level severity);
/// Writes a JSON object.
void write_finding(json::Writer& writer, std::string_view instance, const Finding& finding);

}  // namespace flowd::core
