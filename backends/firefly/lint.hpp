// SPDX-License-Identifier: Apache-2.0
// Judges the fireflies of each emitter by what collectors need. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/address.hpp"
#include "lib/firefly/parser.hpp"

namespace flowd::firefly_backend {

/// Note: nothing is lost. Warning: a collector knows less about the flow. Error: a collector drops or misreads the firefly.
enum class Severity : std::uint8_t { note, warning, error };

/// docs/firefly.md lists them.
enum class Fault : std::uint8_t {
    unreadable,
    no_header,
    no_header_time,
    fragmented,
    too_large,
    swapped_direction,
    nil_header_time,
    no_start_time,
    no_end_time,
    no_current_time,
    time_order,
    clock_skew,
    start_without_end,
    end_without_start,
    duplicate,
    gap,
    tag_changed,
    unregistered_tag,
    address_form,
    no_usage,
    no_tag,
};
inline constexpr std::size_t fault_count = 21;

struct FaultText {
    std::string_view id;
    Severity severity;
    std::string_view remedy;
};
[[nodiscard]] const FaultText& text_of(Fault fault);
[[nodiscard]] std::string_view name_of(Severity severity);

struct Observation {
    std::string_view text;                ///< a datagram, or a line of a log
    std::optional<Endpoint> source = {};  ///< of the datagram
    std::optional<Endpoint> destination = {};
    std::int64_t arrival_ns = 0;  ///< Unix time; 0: unknown
    bool is_fragment = false;
};

struct FoundFault {
    std::uint64_t count = 0;
    std::string example;  ///< of the first occurrence
};

struct Emitter {
    std::string name;                       ///< host and program of the header; without one, in a log, the application
    std::string address;                    ///< of its datagrams; empty: from a log
    std::array<std::uint64_t, 4> states{};  ///< fireflies by State; [0]: unreadable
    std::uint64_t with_error = 0;           ///< fireflies that have at least one error
    std::array<FoundFault, fault_count> faults;

    [[nodiscard]] std::uint64_t fireflies() const { return states[0] + states[1] + states[2] + states[3]; }
    /// A: no fault. B: notes. C: warnings. D: errors. F: errors in more than half of the fireflies.
    [[nodiscard]] char grade() const;
};

class Lint {
  public:
    /// Whether the registry has this tag; not set: tags are not judged.
    explicit Lint(std::function<bool(flowd_tag)> is_registered);

    void take(const Observation& observation);
    /// Worst first. Flows that are still open have a start without an end.
    [[nodiscard]] std::vector<Emitter> finish();

  private:
    struct Flow {
        bool started = false;
        bool ended = false;
        Endpoint source;
        flowd_tag tag{};
        std::int64_t start_time_ns = 0, end_time_ns = 0;
    };
    struct Stream {
        std::uint64_t highest = 0;
        std::set<std::uint64_t> missing;
    };
    struct State {
        Emitter emitter;
        std::map<std::string, Flow> flows;  ///< by the two-way 5-tuple and the target, as text
        std::map<std::pair<std::uint64_t, std::uint64_t>, Stream> streams;
    };

    State& state_of(const Observation& observation, std::string_view host, std::string_view program = {});
    void judge_content(State& state, const Observation& observation, const firefly::Firefly& firefly);
    void judge_flow(State& state, const Observation& observation, const firefly::Firefly& firefly);
    void judge_sequence(State& state, const firefly::FlowdMember& member);
    template <typename Example>
    void note(State& state, Fault fault, const Example& example);

    std::function<bool(flowd_tag)> is_registered_;
    firefly::Parser parser_;
    std::map<std::string, State> emitters_;
    std::string name_, key_;      ///< of the current emitter; they keep their memory
    std::size_t kept_ = 0;        ///< flows and missing numbers, of all emitters
    bool error_in_this_ = false;  ///< the current firefly has an error
};

}  // namespace flowd::firefly_backend
