// SPDX-License-Identifier: Apache-2.0
// Information about one flow for `flowd-cpp explain`. Values; no thread concerns.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/flows/flow_texts.hpp"
#include "core/host/findings.hpp"
#include "core/host/services.hpp"
#include "flowd/result.hpp"

namespace flowd::core {

/// "tcp" "[2001:db8::1]:5201" "192.0.2.1:40000": a protocol by name or number, and both endpoints.
[[nodiscard]] Result<flowd_key> read_flow_key(std::span<const std::string> words);

/// A copy of a flow in the table, or of a tuple that is not in it; then flow_id is 0. The bus must outlive it.
class ExplainedFlow {
  public:
    explicit ExplainedFlow(const flowd_key& key);
    ExplainedFlow(const ExplainedFlow&) = delete;
    ExplainedFlow& operator=(const ExplainedFlow&) = delete;

    void take(const flowd_flow& flow);
    [[nodiscard]] const flowd_flow& flow() const { return flow_; }
    [[nodiscard]] bool is_known() const { return flow_.flow_id != 0; }

  private:
    flowd_flow flow_{};
    FlowTexts texts_;
};

/// `said`: the explanations by instance.
[[nodiscard]] std::string explain_json(const Services& services, const ExplainedFlow& flow,
                                       const std::map<std::string, std::vector<Explanation>>& said);

}  // namespace flowd::core
