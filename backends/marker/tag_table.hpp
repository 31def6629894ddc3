// SPDX-License-Identifier: Apache-2.0
// backends/marker/tag_table.hpp: enters flow events into the kernel's table. One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_set>

#include "backends/marker/kernel_flows.hpp"
#include "backends/marker/marks.hpp"
#include "backends/marker/program.hpp"
#include "flowd/abi/event.h"
#include "flowd/result.hpp"

namespace flowd::marker {

class TagTable {
  public:
    /// Flows that are not in the table by reason.
    struct Skipped {
        std::uint64_t ipv4 = 0;
        std::uint64_t other_scope = 0;
        std::uint64_t as_catch_all = 0;      ///< their mark is that of the catch-all
        std::uint64_t tag_out_of_range = 0;  ///< in the table without a mark, so that the catch-all does not mark them
        std::uint64_t no_valid_tag = 0;      ///< 0/0: also in the table without a mark
        std::uint64_t table_full = 0;
        std::uint64_t failed = 0;
    };
    /// A reason with its name in status and metrics.
    struct Reason {
        const char* name;
        std::uint64_t Skipped::*flows;
    };
    static constexpr std::array<Reason, 7> reasons{{{"tableFull", &Skipped::table_full},
                                                    {"ipv4", &Skipped::ipv4},
                                                    {"asCatchAll", &Skipped::as_catch_all},
                                                    {"otherNamespace", &Skipped::other_scope},
                                                    {"tagOutOfRange", &Skipped::tag_out_of_range},
                                                    {"noValidTag", &Skipped::no_valid_tag},
                                                    {"failed", &Skipped::failed}}};

    /// `lease`: how long the catch-all applies after the last renew_catch_all(); 0: without limit.
    TagTable(Program& program, Marks marks, std::uint32_t capacity, std::chrono::nanoseconds lease = {});

    /// Adopts the flows of a predecessor, and its catch-all unless the lease has expired. Flows remain adopted until they
    /// are put again.
    Result<void> adopt();
    /// No instance announces this flow any more: it becomes adopted.
    void leave(const flowd_key& key);
    /// Removes adopted flows that had no packet since the last call, or since they were adopted.
    void expire_adopted();
    [[nodiscard]] std::size_t adopted() const { return adopted_.size(); }

    /// Enters a flow or gives it a new tag. `flags`: FLOWD_METERED of the flow. False: the table is full.
    bool put(const flowd_key& key, flowd_tag tag, std::uint32_t flags = 0);
    void remove(const flowd_key& key);

    /// Whether flows depend on the catch-all. Before a change of it, those that it no longer covers must be put.
    [[nodiscard]] bool is_relied_on() const { return relied_on_; }
    /// Sets the catch-all tag for flows that are put from now on; apply_catch_all() sets it for packets. False: no carrier
    /// can represent it; the catch-all is removed.
    bool set_catch_all(flowd_tag tag);
    void clear_catch_all();
    void apply_catch_all();
    /// Call it periodically, well within the lease.
    void renew_catch_all();
    void set_observe(bool observe);
    /// Whether the program looks for a tag in the socket of a packet that belongs to no flow.
    void set_socket_tags(bool on);

    /// The mark of a flow that is in the table; empty if it is not.
    [[nodiscard]] std::optional<marker_mark> entry_of(const flowd_key& key);
    /// The mark that the catch-all gives to the packets of a flow.
    [[nodiscard]] marker_mark catch_all_of(const flowd_key& key) const;
    [[nodiscard]] bool carries(marker_mark mark) const { return marks_.carries(mark); }
    [[nodiscard]] std::string describe(marker_mark mark) const { return marks_.describe(mark); }
    [[nodiscard]] bool takes_ipv4() const { return marks_.takes_ipv4(); }
    [[nodiscard]] bool writes_labels() const { return (marks_.carriers() & MARKER_CARRIER_LABEL) != 0; }
    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    [[nodiscard]] bool has_catch_all() const { return (catch_all_mark_.label & MARKER_IS_SET) != 0; }
    [[nodiscard]] flowd_tag catch_all() const { return catch_all_; }
    [[nodiscard]] bool observes() const { return settings_.observe != 0; }
    [[nodiscard]] bool reads_sockets() const { return settings_.socket_tags != 0; }
    [[nodiscard]] const Skipped& skipped() const { return skipped_; }
    /// The last error of a write to a map; empty: none.
    [[nodiscard]] const std::string& last_error() const { return last_error_; }

  private:
    void extend_lease();
    [[nodiscard]] bool is_markable(const flowd_key& key);
    [[nodiscard]] bool is_as_catch_all(flowd_tag tag, std::uint32_t flags) const;
    void count_unmarkable(flowd_tag tag, marker_mark mark);
    void erase(const flow_key& key);
    void set_has_flows(bool has);
    void write_settings();
    void failed(const Error& error);

    struct KeyHash {
        std::size_t operator()(const flow_key& key) const { return flow_hash(&key); }
    };
    struct KeyEqual {
        bool operator()(const flow_key& a, const flow_key& b) const { return std::memcmp(&a, &b, sizeof a) == 0; }
    };
    Program& program_;
    Marks marks_;
    KernelFlows flows_;
    std::uint32_t capacity_;
    std::chrono::nanoseconds lease_;
    std::uint32_t size_ = 0;
    marker_settings settings_{};
    flowd_tag catch_all_{};
    marker_mark catch_all_mark_{};
    bool relied_on_ = false;
    std::unordered_set<flow_key, KeyHash, KeyEqual> adopted_;
    Skipped skipped_;
    std::string last_error_;
};

}  // namespace flowd::marker
