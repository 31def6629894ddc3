// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/lint.hpp"

#include <algorithm>
#include <cmath>

#include "lib/firefly/printer.hpp"
#include "lib/firefly/timestamp.hpp"

namespace flowd::firefly_backend {
namespace {

// Bounds for hostile input. Beyond them, emitters are counted together, and flows and numbers are not tracked.
constexpr std::size_t max_emitters = 1000;
constexpr std::size_t max_kept = 1'000'000;
constexpr std::size_t max_gap = 4096;
constexpr std::size_t max_name = 128;
constexpr std::int64_t max_skew_ns = 5'000'000'000;

constexpr std::array<FaultText, fault_count> fault_texts{{
    {"unreadable", Severity::error, "print the JSON of the firefly schema v1.0.0; the example has the reason"},
    {"no-header", Severity::error,
     "print an RFC 5424 header in front of the JSON: <134>1 TIME HOST PROGRAM - firefly-json - "},
    {"no-header-time", Severity::error, "print the time of sending in the header, in the form of RFC 3339"},
    {"fragmented", Severity::error, "send at most 1452 bytes in a datagram"},
    {"too-large", Severity::error, "send at most 1452 bytes in a datagram: leave out optional members"},
    {"swapped-direction", Severity::error, "name the same end as source in the start and in the end"},
    {"nil-header-time", Severity::warning, "print the time of sending in the header instead of -"},
    {"no-start-time", Severity::warning, "print start-time in the start and in the end: durations need it"},
    {"no-end-time", Severity::warning, "print end-time in the end: durations need it"},
    {"no-current-time", Severity::warning, "print current-time in every firefly"},
    {"time-order", Severity::warning, "take all times of a flow from one clock: start <= end <= current"},
    {"clock-skew", Severity::warning,
     "synchronise the clock of the emitter (NTP), and print times in UTC or with their offset"},
    {"start-without-end", Severity::warning,
     "send an end for every start; a flow that continues after the capture is counted here, too"},
    {"end-without-start", Severity::warning,
     "send a start for every end; a flow that began before the capture is counted here, too"},
    {"duplicate", Severity::warning, "send each start and each end once to each collector"},
    {"gap", Severity::warning, "datagrams were lost on the way, or the sender dropped them: compare the sender's counters"},
    {"tag-changed", Severity::warning, "print the same experiment-id and activity-id in the start and in the end"},
    {"unregistered-tag", Severity::warning,
     "use the ids of https://scitags.org/api.json; flowd-cpp registry list shows them"},
    {"address-form", Severity::warning,
     "print addresses as in RFC 5952, without zone and not IPv4-mapped: collectors compare text"},
    {"no-usage", Severity::note, "print usage with received and sent in the end: throughput needs it"},
    {"no-tag", Severity::note, "0/0 means that the flow has no valid tag"},
}};

struct Header {
    bool is_there = false;
    std::string_view time, host, program;
    bool starts_well = false;  ///< with "<PRIORITY>1 "
};

/// Parses "<134>1 TIME HOST PROGRAM PROCID MSGID -" from its end, because a syslog server may prepend words. If the time
/// is empty, its word is empty.
Header header_of(std::string_view text) {
    Header header;
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    std::string_view before = text.substr(0, text.find('{'));
    if (before.ends_with(byte_order_mark)) before.remove_suffix(byte_order_mark.size());
    if (before.size() == text.size() || before.empty() || before.back() != ' ') return header;
    before.remove_suffix(1);
    std::array<std::string_view, 7> words;  // the last ones, in reverse order
    std::size_t count = 0;
    while (count < words.size()) {
        const auto blank = before.rfind(' ');
        words[count++] = blank == std::string_view::npos ? before : before.substr(blank + 1);
        if (blank == std::string_view::npos) break;
        before = before.substr(0, blank);
    }
    if (count < 6 || words[3].empty() || words[4].empty()) return header;
    header.is_there = true;
    header.program = words[3];
    header.host = words[4];
    header.time = words[5];
    header.starts_well = count == 7 && words[6].starts_with('<') && words[6].ends_with(">1");
    return header;
}

std::string tag_text(flowd_tag tag) {
    return std::to_string(tag.experiment) + "/" + std::to_string(tag.activity);
}

std::string flow_text(const flowd_key& key) {
    return (key.protocol == IPPROTO_TCP ? "tcp " : "udp ") + source_of(key).to_string() + " " +
           destination_of(key).to_string();
}

bool is_quoted_in(std::string_view text, const Address& address) {
    return text.find('"' + address.to_string() + '"') != std::string_view::npos;
}

}  // namespace

const FaultText& text_of(Fault fault) {
    return fault_texts[static_cast<std::size_t>(fault)];
}

std::string_view name_of(Severity severity) {
    return severity == Severity::error ? "error" : severity == Severity::warning ? "warning" : "note";
}

char Emitter::grade() const {
    char grade = 'A';
    for (std::size_t i = 0; i < fault_count; ++i)
        if (faults[i].count > 0)
            grade = std::max(grade, static_cast<char>('B' + static_cast<int>(fault_texts[i].severity)));
    return with_error * 2 > fireflies() ? 'F' : grade;
}

Lint::Lint(std::function<bool(flowd_tag)> is_registered) : is_registered_(std::move(is_registered)) {}

/// The example is made of the first occurrence only.
template <typename Example>
void Lint::note(State& state, Fault fault, const Example& example) {
    FoundFault& found = state.emitter.faults[static_cast<std::size_t>(fault)];
    if (++found.count == 1) found.example = example();
    error_in_this_ = error_in_this_ || text_of(fault).severity == Severity::error;
}

Lint::State& Lint::state_of(const Observation& observation, std::string_view host, std::string_view program) {
    name_.assign(host);
    if (!program.empty()) name_.append(" ").append(program);
    if (name_.size() > max_name) name_.resize(max_name);
    if (name_.empty()) name_ = "unnamed";
    std::string address = observation.source ? observation.source->address.to_string() : std::string();
    key_.assign(address).append(" ").append(name_);
    auto place = emitters_.find(key_);
    if (place == emitters_.end()) {
        if (emitters_.size() >= max_emitters) {
            key_ = name_ = "others";
            address.clear();
        }
        place = emitters_.try_emplace(key_).first;
        place->second.emitter.name = name_;
        place->second.emitter.address = std::move(address);
    }
    return place->second;
}

void Lint::take(const Observation& observation) {
    const Header header = header_of(observation.text);
    firefly::Firefly firefly;
    const auto refusal = parser_.parse(observation.text, firefly);
    const bool is_readable = refusal == firefly::Refusal::none;
    const bool has_application = is_readable && !observation.source;
    State& state = header.is_there   ? state_of(observation, header.host, header.program)
                   : has_application ? state_of(observation, firefly.application)
                                     : state_of(observation, {});
    error_in_this_ = false;
    if (observation.is_fragment) {
        note(state, Fault::fragmented,
             [&] { return std::to_string(observation.text.size()) + " bytes in the first fragment"; });
    } else if (!is_readable) {
        note(state, Fault::unreadable,
             [&] { return std::string(firefly::name_of(refusal)) + ": " + std::string(observation.text.substr(0, 80)); });
    }
    const auto beginning = [&] { return std::string(observation.text.substr(0, 40)); };
    // In a log, the text before the header is that of the syslog server.
    if (!header.is_there || (observation.source && !header.starts_well))
        note(state, Fault::no_header, beginning);
    else if (header.time == "-")
        note(state, Fault::nil_header_time, beginning);
    else if (!firefly::parse_timestamp(header.time))
        note(state, Fault::no_header_time, beginning);
    if (observation.source && observation.text.size() > firefly::default_max_size)
        note(state, Fault::too_large, [&] { return std::to_string(observation.text.size()) + " bytes"; });
    ++state.emitter.states[is_readable ? static_cast<std::size_t>(firefly.state) : 0];
    if (is_readable) {
        if (firefly.member) judge_sequence(state, *firefly.member);
        judge_content(state, observation, firefly);
        judge_flow(state, observation, firefly);
    }
    if (error_in_this_) ++state.emitter.with_error;
}

void Lint::judge_content(State& state, const Observation& observation, const firefly::Firefly& firefly) {
    const auto flow = [&] { return flow_text(firefly.key); };
    const bool is_end = firefly.state == firefly::State::end;
    if (firefly.start_time_ns == 0) note(state, Fault::no_start_time, flow);
    if (is_end && firefly.end_time_ns == 0) note(state, Fault::no_end_time, flow);
    if (firefly.current_time_ns == 0) note(state, Fault::no_current_time, flow);
    std::int64_t latest = firefly.start_time_ns;
    for (const std::int64_t time : {firefly.end_time_ns, firefly.current_time_ns}) {
        if (time == 0) continue;
        if (time < latest) {
            note(state, Fault::time_order, [&] {
                return flow() + ": " + firefly::print_timestamp(time) + " is before " + firefly::print_timestamp(latest);
            });
            break;
        }
        latest = time;
    }
    if (observation.arrival_ns != 0 && firefly.current_time_ns != 0) {
        const std::int64_t late = observation.arrival_ns - firefly.current_time_ns;
        if (late > max_skew_ns || late < -max_skew_ns)
            note(state, Fault::clock_skew, [&] {
                return "current-time is " + std::to_string(std::abs(late) / 1'000'000'000) + " s " +
                       (late > 0 ? "before" : "after") + " the arrival";
            });
    }
    if (firefly.tag.experiment == 0 && firefly.tag.activity == 0)
        note(state, Fault::no_tag, flow);
    else if (is_registered_ && !is_registered_(firefly.tag))
        note(state, Fault::unregistered_tag, [&] { return tag_text(firefly.tag); });
    if (is_end && !firefly.has_usage) note(state, Fault::no_usage, flow);
    if (!is_quoted_in(observation.text, source_of(firefly.key).address) ||
        !is_quoted_in(observation.text, destination_of(firefly.key).address))
        note(state, Fault::address_form, flow);
}

void Lint::judge_flow(State& state, const Observation& observation, const firefly::Firefly& firefly) {
    const Endpoint source = source_of(firefly.key);
    const auto text = [&] { return flow_text(firefly.key); };
    std::string one_end = source.to_string(), other_end = destination_of(firefly.key).to_string();
    if (other_end < one_end) one_end.swap(other_end);
    std::string key = (firefly.key.protocol == IPPROTO_TCP ? "tcp " : "udp ") + one_end + ' ' + other_end;
    if (observation.destination) key += " sent to " + observation.destination->to_string();
    auto place = state.flows.find(key);
    if (place == state.flows.end()) {
        if (kept_ >= max_kept) return;
        ++kept_;
        place = state.flows.try_emplace(std::move(key)).first;
        place->second.ended = true;  // no flow is open
    }
    Flow& flow = place->second;
    const auto begin = [&] {
        const bool started = firefly.state == firefly::State::start;
        flow = {started, false, source, firefly.tag, firefly.start_time_ns, 0};
    };
    switch (firefly.state) {
        case firefly::State::start:
            if (!flow.ended && flow.started && flow.start_time_ns == firefly.start_time_ns)
                return note(state, Fault::duplicate, [&] { return "start of " + text(); });
            if (!flow.ended && flow.started) note(state, Fault::start_without_end, text);
            return begin();
        case firefly::State::ongoing:
            if (flow.ended) begin();
            return;
        case firefly::State::end:
            break;
    }
    if (flow.ended) {
        if (flow.end_time_ns != 0 && flow.end_time_ns == firefly.end_time_ns)
            return note(state, Fault::duplicate, [&] { return "end of " + text(); });
        begin();
    }
    if (!flow.started) note(state, Fault::end_without_start, text);
    if (flow.source != source) note(state, Fault::swapped_direction, [&] { return "the end of " + text(); });
    if (flow.tag.experiment != firefly.tag.experiment || flow.tag.activity != firefly.tag.activity)
        note(state, Fault::tag_changed,
             [&] { return text() + ": " + tag_text(flow.tag) + ", then " + tag_text(firefly.tag); });
    flow.ended = true;
    flow.end_time_ns = firefly.end_time_ns;
}

void Lint::judge_sequence(State& state, const firefly::FlowdMember& member) {
    auto place = state.streams.find({member.boot, member.stream});
    if (place == state.streams.end()) {
        if (kept_ >= max_kept) return;
        ++kept_;
        place = state.streams.try_emplace({member.boot, member.stream}, Stream{member.seq, {}}).first;
        return;
    }
    Stream& stream = place->second;
    if (member.seq > stream.highest) {
        // A larger step is a restart of the stream or a forged number, and not counted.
        const std::uint64_t missed = member.seq - stream.highest - 1;
        if (missed <= max_gap && kept_ + missed <= max_kept) {
            for (std::uint64_t seq = stream.highest + 1; seq < member.seq; ++seq) stream.missing.insert(seq);
            kept_ += missed;
        }
        stream.highest = member.seq;
    } else {
        stream.missing.erase(member.seq);
    }
}

std::vector<Emitter> Lint::finish() {
    std::vector<Emitter> all;
    for (auto& [key, state] : emitters_) {
        for (const auto& [flow, seen] : state.flows)
            if (seen.started && !seen.ended) note(state, Fault::start_without_end, [&text = flow] { return text; });
        for (const auto& [id, stream] : state.streams)
            for (const std::uint64_t seq : stream.missing)
                note(state, Fault::gap, [seq] { return "number " + std::to_string(seq); });
        all.push_back(std::move(state.emitter));
    }
    emitters_.clear();
    std::stable_sort(all.begin(), all.end(), [](const Emitter& a, const Emitter& b) { return a.grade() > b.grade(); });
    return all;
}

}  // namespace flowd::firefly_backend
