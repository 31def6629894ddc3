// SPDX-License-Identifier: Apache-2.0
// lib/bpf/attachments.hpp: keeps programs attached to a set of interfaces, without affecting those of other programs.
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/clsact.hpp"
#include "lib/bpf/ownership.hpp"
#include "lib/bpf/rtnetlink.hpp"
#include "lib/bpf/tcx.hpp"

namespace flowd::bpf {

/// Which kernel hook: automatic takes TCX where the kernel has it, clsact otherwise.
enum class Attach { automatic, tcx, clsact };

/// What it requires of the kernel (lib/kernel/features.hpp).
[[nodiscard]] constexpr std::string_view requirement_of(Attach how) {
    return how == Attach::tcx ? "TCX" : how == Attach::clsact ? "clsact" : "TCX|clsact";
}

/// What runs in one direction. The descriptors are borrowed.
struct HookPrograms {
    Direction direction = Direction::egress;
    int ethernet = -1;                    ///< for devices with an Ethernet header
    std::function<Result<int>()> raw_ip;  ///< for devices whose packets begin with their IP header; loads it when needed
};

/// A third-party program or filter that runs before ours: if it ends the classification, ours does not see the packet.
struct Preceding {
    Link link;
    Direction direction = Direction::egress;
    std::string hook;            ///< "tcx" or "clsact"
    std::string kind;            ///< "bpf", or the kind of a tc filter
    std::string name;            ///< of the program; empty: unknown
    std::uint32_t program = 0;   ///< id; 0: no program
    std::uint16_t priority = 0;  ///< of a tc filter

    /// "tc filter u32 of priority 2 (egress)"
    [[nodiscard]] std::string describe() const;
};

/// Whether a filter of this kind and name holds the program; see filter_name().
[[nodiscard]] bool is_program(std::string_view kind, std::string_view name, std::string_view program);

/// FLOWD_UNSUPPORTED: the header of the interface's packets cannot be parsed.
[[nodiscard]] Result<void> check_hardware(const Link& link);

/// Takes places on TCX for attachments to these interfaces, unless they go to clsact.
[[nodiscard]] TcxPlaces places_on(const std::vector<Link>& links, std::vector<Direction> directions, Attach how);

/// What would run before programs that were attached to this interface now, or runs before those that are. Programs of
/// this project do not count.
[[nodiscard]] std::vector<Preceding> find_preceding(const Link& link, Direction direction, bool on_clsact);

/// Removes the filters that killed instances of a role left on the interfaces of this network namespace: those that hold
/// one of the programs and have no live owner. Returns their number.
Result<std::uint32_t> sweep_filters(Host& host, const std::string& role, const std::vector<std::string>& program_names,
                                    const std::vector<Direction>& directions);

class Attachments {
  public:
    struct Purpose {
        std::string doing;                       ///< for the log: "marking"
        std::string role;                        ///< for the log: "marker"
        std::string series;                      ///< prefix of the names of the time series: "marker"
        std::vector<HookPrograms> hooks;         ///< an interface has all of them or none
        std::vector<std::string> program_names;  ///< of our filters, to find those that a killed predecessor left
        Attach how = Attach::automatic;
        bool remove_qdisc = true;  ///< at the stop, if flowd-cpp added it and no filter is left on it
        std::string kept_in = {};  ///< a directory on a bpffs where links are pinned, so that they survive this process;
                                   ///< empty: nothing is pinned
        /// How many outgoing packets the programs have seen on an interface, or in all. Whatever hides packets from them,
        /// the interface's own counter then says otherwise. Empty: the two are not compared.
        std::function<std::optional<std::uint64_t>(const Link&)> seen = {};
    };
    struct State {
        Link link;
        const char* hook;  ///< "tcx", "clsact", or "removed" (by another program) and it cannot be attached again
        std::vector<std::uint32_t> programs;  ///< ids, in the order of the hooks
        std::uint64_t repairs;                ///< how often it was attached again after another program had removed it
        std::vector<Preceding> preceding;     ///< at the last check
        std::uint64_t unseen;                 ///< packets that the interface sent in the last interval while none was seen
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
    Attachments(Host& host, Purpose purpose);
    Attachments(const Attachments&) = delete;
    Attachments& operator=(const Attachments&) = delete;
    ~Attachments() { detach_all(); }

    /// Uses these places for attachments to TCX.
    void use(TcxPlaces places) { places_ = std::move(places); }
    /// Attaches to the interfaces that are new and detaches from those that are no longer in the set.
    Changes reconcile(const std::vector<Link>& wanted);
    /// An interface was not attached by reconcile() because another instance has the qdiscs locked: call it again after
    /// `busy_period`. The failure is not repeated.
    [[nodiscard]] bool is_busy() const { return busy_; }
    static constexpr std::chrono::seconds busy_period{2};
    /// From now on, a hook that another program removes is attached again within seconds: the kernel sends notifications of
    /// tc filters, and the hooks are checked every two seconds.
    Result<void> guard();
    /// Removes our own hooks, and nothing else.
    void detach_all();
    /// Removes the filters that killed instances of our role left.
    Result<std::uint32_t> sweep() const;

    [[nodiscard]] std::vector<State> states() const;
    /// The interfaces of states().
    [[nodiscard]] std::vector<Link> links() const;

  private:
    using Hook = std::variant<TcxLink, ClsactFilter>;
    using Clock = std::chrono::steady_clock;
    /// A line that may be repeated is logged at most once a minute.
    struct Said {
        std::optional<Clock::time_point> last;
        std::uint64_t unsaid = 0;
    };
    /// What an interface had sent, and of that the programs had seen, when an interval began.
    struct Counts {
        std::uint64_t sent = 0;
        std::uint64_t seen = 0;
    };
    struct Attached {
        Link link;
        std::vector<Hook> hooks;
        std::vector<std::uint32_t> programs;
        bool on_clsact = false;
        bool made_qdisc = false;
        bool removed = false;
        std::uint64_t repairs = 0;
        std::vector<Preceding> preceding;
        std::optional<Counts> counts;
        std::uint64_t unseen = 0;
        Counter repairs_series;
        Counter unseen_series;
        std::vector<Gauge> preceding_series;  // in the order of the hooks
        Said said_repaired;
        Said said_preceding;
        Said said_unseen;
    };
    /// What is on a hook now.
    struct Present {
        std::vector<std::uint32_t> tcx;
        std::vector<Filter> filters;
    };
    struct Qdisc {
        bool missing = false;
        bool removed_with_filters = false;  // with the last of ours
    };
    [[nodiscard]] Result<Attached> attach(const Link& link);
    [[nodiscard]] Result<void> attach_clsact(Attached& attached);
    [[nodiscard]] Result<Hook> attach_hook(const Attached& attached, std::size_t hook, bool with_qdisc);
    [[nodiscard]] Result<Qdisc> look_at_qdisc(const Link& link) const;
    /// Waits for qdisc_patience. For a minute after a timeout it does not wait: the instance's thread has other work, and a
    /// stop must not time out once for each interface.
    [[nodiscard]] Result<UniqueFd> lock_qdiscs();
    void name_series(Attached& attached);
    void detach(Attached& attached);
    void remove(Attached& attached);  // on clsact: with the qdiscs locked
    [[nodiscard]] Result<void> keep(Attached& attached) const;
    void leave(Attached& attached);
    void remove_stale_pins() const;
    [[nodiscard]] std::string pin_of(int interface_index, std::size_t hook) const;

    void look();
    void look(Attached& attached);
    void read_changes();
    [[nodiscard]] Result<Present> present_on(const Attached& attached, std::size_t hook) const;
    [[nodiscard]] bool runs(const Attached& attached, std::size_t hook, const Present& present) const;
    [[nodiscard]] std::vector<Preceding> preceding_of(const Attached& attached, std::size_t hook, const Present& present);
    [[nodiscard]] Result<void> attach_missing(Attached& attached, const std::vector<std::size_t>& missing);
    void repair(Attached& attached, const std::vector<std::size_t>& missing);
    void show_preceding(Attached& attached, std::vector<Preceding> preceding);
    void compare_counts();
    void compare_counts(Attached& attached, const Counts& now);
    [[nodiscard]] bool is_ours(std::uint32_t tcx_program);
    void say(Said& said, const std::string& line);

    Host& host_;
    Purpose purpose_;
    TcxPlaces places_;
    std::optional<Ownership> ownership_;   // from the first clsact filter on
    std::map<int, Attached> attached_;     // by interface index
    Clock::time_point impatient_until_{};  // for the lock of the qdiscs
    bool locked_out_ = false;              // another instance had it at the last attempt
    bool busy_ = false;
    bool lost_changes_ = false;                     // since the last look
    std::map<std::uint32_t, bool> known_programs_;  // whether they are ours; the kernel does not reuse ids
    std::optional<nl::Subscription> changes_;
    Watch change_watch_;
    Timer change_timer_;
    Timer look_timer_;
    Timer count_timer_;
};

/// The members "repairs", "runsBefore" and "unseen" of an interface in status.
void write_hook(json::Writer& object, const Attachments::State& state);

}  // namespace flowd::bpf
