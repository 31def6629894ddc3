// SPDX-License-Identifier: Apache-2.0
// backends/marker/marking.hpp: a loaded program with its table, its attachments and its interfaces. A reload builds a
// second one before it removes the first. One thread at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/marker/options.hpp"
#include "backends/marker/program.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/host.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"
#include "lib/bpf/rtnetlink.hpp"

namespace flowd::marker {

/// The interfaces that the options choose.
[[nodiscard]] bpf::InterfaceChoice choice_of(const Options& options);

class Marking {
  public:
    /// Loads the program. With `pins`, takes over what is active there. Attaches nothing yet. `host` must outlive this.
    [[nodiscard]] static Result<std::unique_ptr<Marking>> make(Host& host, const Options& options, const Pins* pins);
    Marking(const Marking&) = delete;
    Marking& operator=(const Marking&) = delete;
    ~Marking() = default;

    /// Attaches to the interfaces that exist; the first refusal is an error. It is an error if none exists, unless the
    /// options allow it.
    Result<void> attach_first();
    /// After a change of interfaces. A refusal is reported, and retried with the next change.
    void attach_again();
    /// Another instance has locked the qdiscs: call attach_again() after Attachments::busy_period.
    [[nodiscard]] bool is_busy() const { return attachments_.is_busy(); }

    /// Enters the flows and the catch-all of a predecessor.
    Result<void> fill_from(const Marking& predecessor);
    /// While it is active: re-attaches hooks that other programs remove.
    Result<void> guard() { return attachments_.guard(); }

    /// An empty `tag` removes the catch-all. False: no carrier can represent the tag; the catch-all is removed.
    [[nodiscard]] Result<bool> set_catch_all(std::optional<flowd_tag> tag);
    /// Whether a plugin tags sockets.
    Result<void> look_into_sockets(bool on);
    /// Enters all live flows, including those that did not fit while the table was full.
    Result<void> refill();

    [[nodiscard]] TagTable& table() { return table_; }
    [[nodiscard]] const TagTable& table() const { return table_; }
    [[nodiscard]] bpf::Attachments& attachments() { return attachments_; }
    [[nodiscard]] const bpf::Attachments& attachments() const { return attachments_; }
    [[nodiscard]] const bpf::Interfaces& interfaces() const { return interfaces_; }
    /// What chose the interface: the configuration, a route, its address.
    [[nodiscard]] std::string why(const bpf::Link& link) const;
    [[nodiscard]] const Program& program() const { return program_; }
    [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }
    /// Whether another marked interface is stacked on this one, such as a bridge on its ports.
    [[nodiscard]] bool is_below(const bpf::Link& link) const { return below_.contains(link.index); }
    /// Packets of all interfaces by outcome, each packet once: of a lower interface only those that were marked there,
    /// because the others may have been counted on an upper one.
    [[nodiscard]] Result<Outcomes> totals() const;
    [[nodiscard]] bool has_lost_flows() const { return has_lost_flows_; }
    /// False: the table is full.
    bool put(const flowd_key& key, flowd_tag tag, std::uint32_t flags);

    [[nodiscard]] int change_fd() const { return changes_.fd(); }  ///< readable: drain_changes()
    bool drain_changes() { return changes_.drain(); }

  private:
    Marking(Host& host, const Options& options, const Pins* pins, Program program, nl::Subscription changes);
    std::vector<bpf::Attachments::Failure> reconcile(bpf::Interfaces::Found found);
    void find_below();
    [[nodiscard]] Error nothing_there() const;

    Host& host_;
    bpf::Interfaces interfaces_;
    bool is_named_;
    bool waits_;
    nl::Subscription changes_;
    Program program_;
    TagTable table_;
    bpf::Attachments attachments_;
    std::vector<std::string> missing_;
    std::map<int, std::string> why_;
    std::set<int> below_;
    bool has_lost_flows_ = false;
};

}  // namespace flowd::marker
