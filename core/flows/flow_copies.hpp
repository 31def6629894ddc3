// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_copies.hpp: copies of flows, made under a shard's lock and read without it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/flows/flow_texts.hpp"
#include "flowd/abi/ext/flows.h"

namespace flowd::core {

/// Owns the texts that the copies point to. Names of instances live as long as the bus.
class FlowCopies {
  public:
    /// Then add() does not allocate.
    void reserve(std::size_t count) {
        flows_.reserve(count);
        texts_.reserve(count);
    }
    void clear() {
        flows_.clear();
        texts_.clear();
    }
    void add(const flowd_flow& flow, const FlowTexts& texts) {
        texts.lend_to(flows_.emplace_back(flow));
        if (!texts.empty()) texts_.push_back(texts);
    }

    [[nodiscard]] std::span<const flowd_flow> flows() const { return flows_; }
    [[nodiscard]] std::size_t size() const { return flows_.size(); }

  private:
    std::vector<flowd_flow> flows_;
    std::vector<FlowTexts> texts_;
};

}  // namespace flowd::core
