// SPDX-License-Identifier: Apache-2.0
// lib/bpf/attachments.hpp: keeps programs attached to a set of interfaces, harming nobody else's. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "flowd/host.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/clsact.hpp"
#include "lib/bpf/ownership.hpp"
#include "lib/bpf/rtnetlink.hpp"
#include "lib/bpf/tcx.hpp"

namespace flowd::bpf {

/// Which kernel hook: automatic takes TCX where the kernel has it, clsact otherwise.
enum class Attach { automatic, tcx, clsact };

/// What runs in one direction. The descriptors are borrowed.
struct HookPrograms {
    Direction direction = Direction::egress;
    int ethernet = -1;  ///< for devices with an Ethernet header
    int raw_ip = -1;    ///< for devices whose packets begin with their IP header
};

/// Whether a filter holds the program of that name; libbpf names a filter "PROGRAM:[ID]".
[[nodiscard]] bool is_program(const Filter& filter, std::string_view program);

/// Removes the filters of those of a role that were killed, on every interface of this network namespace: those that hold
/// one of the programs and whose owner is gone. How many there were.
Result<std::uint32_t> sweep_filters(Host& host, const std::string& role, const std::vector<std::string>& program_names,
                                    const std::vector<Direction>& directions);

class Attachments {
  public:
    struct Purpose {
        std::string doing;                       ///< for the log: "marking"
        std::vector<HookPrograms> hooks;         ///< an interface has all of them or none
        std::vector<std::string> program_names;  ///< of our filters, to find what a killed predecessor left
        Attach how = Attach::automatic;
        bool remove_qdisc = true;  ///< at the end, when we made it and nobody else uses it
        std::string kept_in =
            {};  ///< a folder on a bpffs where links are pinned, so that all outlives us; empty: nothing does
    };
    struct State {
        Link link;
        const char* hook;                     ///< "tcx" or "clsact"
        std::vector<std::uint32_t> programs;  ///< ids, in the order of the hooks
    };
    struct Failure {
        Link link;
        Error error;
    };
    struct Changes {
        std::vector<Link> attached;
        std::vector<Link> detached;
        std::vector<Failure> failures;
    };

    /// `host` and the programs must outlive this.
    Attachments(Host& host, Purpose purpose, Ownership ownership);
    Attachments(const Attachments&) = delete;
    Attachments& operator=(const Attachments&) = delete;
    ~Attachments() { detach_all(); }

    /// Attaches to those that are new, lets go of those that are no longer in the set.
    Changes reconcile(const std::vector<Link>& wanted);
    /// The qdiscs that the predecessor made are now ours to remove; it must still be attached.
    void take_over(Attachments& predecessor);
    /// Takes our own away, and nothing else.
    void detach_all();
    /// Removes the filters of those of our role that were killed.
    Result<std::uint32_t> sweep() const;

    [[nodiscard]] std::vector<State> states() const;

  private:
    using Hook = std::variant<TcxLink, ClsactFilter>;
    struct Attached {
        Link link;
        std::vector<Hook> hooks;
        std::vector<std::uint32_t> programs;
        bool made_qdisc = false;
        [[nodiscard]] bool on_clsact() const { return hooks.front().index() == 1; }
    };
    [[nodiscard]] Result<Attached> attach(const Link& link);
    [[nodiscard]] Result<std::vector<Hook>> attach_tcx(const Link& link, bool raw_ip) const;
    [[nodiscard]] Result<std::vector<Hook>> attach_clsact(const Link& link, bool raw_ip) const;
    void detach(Attached attached);
    [[nodiscard]] Result<void> keep(Attached& attached) const;
    void leave(Attached attached);
    void remove_stale_pins() const;
    [[nodiscard]] std::string pin_of(int interface_index, std::size_t hook) const;

    Host& host_;
    Purpose purpose_;
    Ownership ownership_;
    std::map<int, Attached> attached_;  // by interface index
};

}  // namespace flowd::bpf
