// SPDX-License-Identifier: Apache-2.0
// The status and the commands of the marker.
#include <numeric>
#include <string>

#include "backends/marker/coverage.hpp"
#include "backends/marker/marker.hpp"
#include "flowd/label.hpp"
#include "lib/text/summary.hpp"

namespace flowd::marker {
namespace {

void write_catch_all(json::Writer& object, const TagTable& table) {
    object.key("catchAll");
    if (!table.has_catch_all()) {
        object.value(nullptr);
        return;
    }
    object.object();
    object.member("experiment", table.catch_all().experiment);
    object.member("activity", table.catch_all().activity);
    object.end();
}

std::uint64_t marked_of(const Outcomes& outcomes) {
    std::uint64_t sum = 0;
    for (std::uint32_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome)
        if (is_marked(outcome)) sum += outcomes[outcome];
    return sum;
}

/// Packets seen, marked, and not marked by reason; null if the counters cannot be read.
void write_packets(json::Writer& object, const Result<Outcomes>& outcomes) {
    if (!outcomes) {
        object.member("packets", nullptr);
        return;
    }
    object.member("packets", std::accumulate(outcomes->begin(), outcomes->end(), std::uint64_t{0}));
    object.member("marked", marked_of(*outcomes));
    object.key("outcomes").object();
    for (std::uint32_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome)
        object.member(outcome_name(outcome), (*outcomes)[outcome]);
    object.end();
}

}  // namespace

std::string Marker::summary() const {
    if (!marking_) return "stopped";
    std::vector<std::string> names;
    for (const auto& state : marking_->attachments().states()) names.push_back(state.link.name);
    if (names.empty()) return "waits for an interface";
    if (!can_mark(options_.strategy)) return "marks nothing: this kernel has no IPv6";
    return text::summary(marking_->table().observes() ? "observes" : "marks on", names);
}

void Marker::status(json::Writer& object) const {
    object.member("summary", summary());
    object.member("strategy", name_of(options_.strategy));
    object.member("policy", options_.policy == Policy::keep_explicit ? "keepExplicit" : "override");
    object.member("persist", options_.persist);
    if (const auto warning = missing_ipv6(options_.strategy); !warning.empty()) object.member("warning", warning);
    if (!marking_) return;
    const TagTable& table = marking_->table();
    object.member("socketTags", table.reads_sockets());
    object.member("mode", table.observes() ? "observe" : "mark");
    write_catch_all(object, table);
    if (series_) series_->status(object);
    if (!table.last_error().empty()) object.member("lastError", table.last_error());
    write_packets(object, marking_->totals());
    object.key("interfaces").array();
    for (const auto& state : marking_->attachments().states()) {
        object.object();
        object.member("interface", state.link.name);
        object.member("chosenBy", marking_->why(state.link));
        object.member("hook", state.hook);
        object.member("program", state.programs.front());
        object.member("below", marking_->is_below(state.link));
        bpf::write_hook(object, state);
        // Interfaces whose indexes differ by a multiple of MARKER_COUNTED_INTERFACES share counters.
        write_packets(object, marking_->program().outcomes(state.link.index));
        object.end();
    }
    for (const std::string& name : marking_->missing()) {
        object.object();
        object.member("interface", name);
        object.member("hook", "absent");
        object.member("program", nullptr);
        object.end();
    }
    object.end();
}

std::vector<Command<Marker>> Marker::commands() {
    return {
        {"status", nullptr, "Shows what is marked on which interfaces, and packets that were not marked by reason.", false,
         &Marker::command_status},
        {"coverage", nullptr, "Shows the share of bytes that left with a tag, and what left without one.", false,
         &Marker::command_coverage},
        {"mode", "[observe|mark]", "Shows or changes whether packets are marked, until the next start.", true,
         &Marker::command_mode},
    };
}

Result<void> Marker::command_status(const std::vector<std::string_view>& arguments, json::Writer& answer) {
    if (!arguments.empty()) return Error{FLOWD_INVALID, "status takes no arguments"};
    answer.object();
    status(answer);
    answer.end();
    return {};
}

Result<void> Marker::command_coverage(const std::vector<std::string_view>& arguments, json::Writer& answer) {
    if (!arguments.empty()) return Error{FLOWD_INVALID, "coverage takes no arguments"};
    if (!marking_) return Error{FLOWD_ERROR, "the marker is not running"};
    return write_coverage(answer, *marking_, host().registry());
}

Result<void> Marker::command_mode(const std::vector<std::string_view>& arguments, json::Writer& answer) {
    if (arguments.size() > 1 || (arguments.size() == 1 && arguments[0] != "observe" && arguments[0] != "mark"))
        return Error{FLOWD_INVALID, "the mode is observe or mark"};
    if (!marking_) return Error{FLOWD_ERROR, "the marker is not running"};
    if (arguments.size() == 1) {
        marking_->table().set_observe(arguments[0] == "observe");
        tell_interfaces();
        host().info("mode: " + std::string(arguments[0]));
    }
    answer.object();
    answer.member("mode", marking_->table().observes() ? "observe" : "mark");
    answer.end();
    return {};
}

}  // namespace flowd::marker
