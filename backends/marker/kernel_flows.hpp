// SPDX-License-Identifier: Apache-2.0
// backends/marker/kernel_flows.hpp: writes the flow table that the program reads (bpf/lib/flow_table.h). One thread at a
// time; the program reads concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "bpf/marker_types.h"
#include "flowd/result.hpp"

namespace flowd::marker {

/// The map's memory, mapped only while it contains flows.
class KernelFlows {
  public:
    struct Flow {
        flow_key key{};
        marker_mark mark{};
        std::uint16_t seen = 0;
        std::uint32_t started = 0;  ///< Unix time, seconds
    };
    enum class Put { created, replaced, no_room };

    /// The number of buckets for so many flows, at most half full: 128 bytes a flow.
    [[nodiscard]] static std::uint32_t buckets_for(std::uint32_t flows);

    /// `map` is borrowed and must outlive this.
    KernelFlows(int map, std::uint32_t buckets) : map_(map), buckets_(buckets) {}
    KernelFlows(KernelFlows&& other) noexcept;
    KernelFlows& operator=(KernelFlows&&) = delete;
    ~KernelFlows() { unmap(); }

    /// Enters a flow, or changes its mark; for each carrier a packet gets either the old or the new value. no_room: all
    /// slots for it are used, which has a probability below 1e-12 in a table that is half full.
    [[nodiscard]] Result<Put> put(const Flow& flow);
    /// False: it was not in the table.
    [[nodiscard]] Result<bool> erase(const flow_key& key);
    [[nodiscard]] Result<std::optional<Flow>> find(const flow_key& key);
    Result<void> visit(const std::function<void(const Flow&)>& each);

    /// Call it when the table is empty.
    void unmap();

  private:
    struct Place {
        marker_flow* slot = nullptr;      ///< the slot of the flow; null: none
        marker_flow* free = nullptr;      ///< the first free one of its probe sequence
        std::uint32_t slot_distance = 0;  ///< slots of its probe sequence before it
        std::uint32_t free_distance = 0;
    };
    [[nodiscard]] Result<void> map_memory();
    [[nodiscard]] marker_flow& slot_at(std::uint64_t hash, std::uint32_t distance) const;
    [[nodiscard]] std::uint32_t longest_way() const;
    [[nodiscard]] Place look_for(const flow_key& key, std::uint64_t hash) const;

    int map_;
    std::uint32_t buckets_;
    marker_bucket* memory_ = nullptr;
};

}  // namespace flowd::marker
