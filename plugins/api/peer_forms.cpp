// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/peer_forms.hpp"

#include <sys/socket.h>

#include <array>
#include <limits>
#include <utility>

#include "flowd/number.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/text/words.hpp"

namespace flowd::api {
namespace {

constexpr std::uint64_t most_id = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t most_total = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t longest_application = 256;  // limit of the core

/// The members of both forms while they are read.
struct Draft {
    std::uint32_t kind = 0;
    std::uint8_t protocol = 0;
    Endpoint source, destination;
    flowd_tag tag{};
    std::int64_t time_ns = 0, start_time_ns = 0, end_time_ns = 0;
    std::optional<flowd_usage> usage;
    std::string_view application;
};

[[nodiscard]] Result<Event> finished(const Draft& draft) {
    if (draft.source.address.is_v4() != draft.destination.address.is_v4())
        return Error{FLOWD_INVALID, "one end is IPv4 and the other IPv6"};
    if (draft.source == draft.destination) return Error{FLOWD_INVALID, "both ends are the same"};
    if (draft.application.size() > longest_application) return wrong({"application"}, "has more than 256 bytes");
    const flowd_key key = make_key(draft.source, draft.destination, draft.protocol);
    Event event = draft.kind == FLOWD_EVENT_START     ? Event::start(key, draft.tag)
                  : draft.kind == FLOWD_EVENT_ONGOING ? Event::ongoing(key, draft.tag)
                                                      : Event::end(key, draft.tag);
    event->time_ns = draft.time_ns;
    event->start_time_ns = draft.start_time_ns;
    event->end_time_ns = draft.end_time_ns;
    if (draft.usage) {
        event->usage = *draft.usage;
        event->usage.source = FLOWD_USAGE_APPLICATION;
        event->usage.known = FLOWD_USAGE_BYTES;
        if (event->usage.packets_sent != 0 || event->usage.packets_received != 0) event->usage.known |= FLOWD_USAGE_PACKETS;
    }
    if (!draft.application.empty()) event.application(std::string(draft.application));
    return event;
}

/// Stores what was read, or returns the error.
template <typename From, typename To>
[[nodiscard]] Result<void> store(Result<From> read, To& to) {
    if (!read) return std::move(read).error();
    to = static_cast<To>(*read);
    return {};
}

/// Detects repeated and missing members.
class Members {
  public:
    [[nodiscard]] Result<void> note(unsigned member, Member name) {
        if ((seen_ >> member & 1u) != 0) return wrong(name, "occurs twice");
        seen_ |= 1u << member;
        return {};
    }
    [[nodiscard]] bool has(unsigned member) const { return (seen_ >> member & 1u) != 0; }

  private:
    unsigned seen_ = 0;
};

/// Reads the members of an object. `names` are the known ones, of which the first `required` must be present; `take` reads
/// the value of one.
template <std::size_t count, typename Take>
[[nodiscard]] Result<void> walk(dom::object object, const std::array<std::string_view, count>& names, std::size_t required,
                                std::string_view within, bool in_any_case, Take take) {
    Members members;
    for (const auto& [name, value] : object) {
        std::size_t index = 0;
        while (index < count && !(in_any_case ? text::same_word(names[index], name) : names[index] == name)) ++index;
        if (index == count) {
            if (in_any_case) continue;
            return wrong({name, within}, "is unknown");
        }
        const Member member{names[index], within};
        if (auto noted = members.note(static_cast<unsigned>(index), member); !noted) return noted;
        if (auto read = take(index, member, value); !read) return read;
    }
    for (std::size_t index = 0; index < required; ++index)
        if (!members.has(static_cast<unsigned>(index))) return wrong({names[index], within}, "is missing");
    return {};
}

[[nodiscard]] Result<dom::object> object_of(Member member, dom::element value) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return wrong(member, "is not an object");
    return object;
}

/// {"address":...,"port":...} under the names of the form.
[[nodiscard]] Result<void> read_end(Member member, dom::element value, const std::array<std::string_view, 2>& names,
                                    bool in_any_case, Endpoint& end) {
    auto object = object_of(member, value);
    if (!object) return std::move(object).error();
    return walk(*object, names, 2, member.name, in_any_case,
                [&](std::size_t index, Member name, dom::element part) -> Result<void> {
                    if (index == 1) return store(read_number(name, part, 1, 65535), end.port);
                    auto text = read_text(name, part);
                    if (!text) return std::move(text).error();
                    return store(read_address(name, *text), end.address);
                });
}

[[nodiscard]] Result<void> read_usage(Member member, dom::element value, std::optional<flowd_usage>& usage) {
    auto object = object_of(member, value);
    if (!object) return std::move(object).error();
    static constexpr std::array<std::string_view, 4> names{"bytesSent", "bytesReceived", "packetsSent", "packetsReceived"};
    flowd_usage& to = usage.emplace();
    return walk(*object, names, 2, member.name, false, [&](std::size_t index, Member name, dom::element part) {
        std::uint64_t* const totals[] = {&to.bytes_sent, &to.bytes_received, &to.packets_sent, &to.packets_received};
        return store(read_number(name, part, 0, most_total), *totals[index]);
    });
}

template <std::size_t count>
[[nodiscard]] Result<std::uint32_t> read_word(Member member, dom::element value,
                                              const std::array<std::pair<std::string_view, std::uint32_t>, count>& words) {
    auto text = read_text(member, value);
    if (!text) return std::move(text).error();
    for (const auto& [word, meaning] : words)
        if (text::same_word(word, *text)) return meaning;
    std::string allowed;
    for (const auto& [word, meaning] : words) allowed.append(allowed.empty() ? "" : ", ").append(word);
    return wrong(member, "is none of " + allowed);
}

template <std::size_t count>
[[nodiscard]] Result<std::uint32_t> read_code(Member member, dom::element value,
                                              const std::array<std::pair<std::uint64_t, std::uint32_t>, count>& codes) {
    std::uint64_t number = 0;
    std::string allowed;
    const bool is_number = value.get(number) == simdjson::SUCCESS;
    for (const auto& [code, meaning] : codes) {
        if (is_number && number == code) return meaning;
        allowed.append(allowed.empty() ? "" : ", ").append(std::to_string(code));
    }
    return wrong(member, "is none of " + allowed);
}

/// "[::1]:2345" or "192.0.2.1:2345"
[[nodiscard]] Result<void> read_joined(Member member, std::string_view text, Endpoint& end) {
    const auto colon = text.rfind(':');
    const std::string_view address = text.substr(0, colon);
    if (colon == std::string_view::npos || (address.find(':') != std::string_view::npos && address.front() != '['))
        return wrong(member, "is not written as ADDRESS:PORT, with IPv6 in brackets");
    if (auto read = store(read_address(member, address), end.address); !read) return read;
    end.port = whole_number<std::uint16_t>(text.substr(colon + 1)).value_or(0);
    if (end.port == 0) return wrong(member, "has no port from 1 to 65535");
    return {};
}

}  // namespace

Result<Event> read_own_form(dom::object object, const Registry& registry) {
    static constexpr std::array<std::string_view, 11> names{"state",      "protocol", "source",     "destination",
                                                            "experiment", "activity", "time",       "startTime",
                                                            "endTime",    "usage",    "application"};
    static constexpr std::array<std::pair<std::string_view, std::uint32_t>, 3> states{
        {{"start", FLOWD_EVENT_START}, {"ongoing", FLOWD_EVENT_ONGOING}, {"end", FLOWD_EVENT_END}}};
    static constexpr std::array<std::pair<std::string_view, std::uint32_t>, 2> protocols{
        {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}}};
    static constexpr std::array<std::string_view, 2> end_names{"address", "port"};
    Draft draft;
    std::string_view activity_name;
    const auto take = [&](std::size_t index, Member name, dom::element value) -> Result<void> {
        switch (index) {
            case 0:
                return store(read_word(name, value, states), draft.kind);
            case 1:
                return store(read_word(name, value, protocols), draft.protocol);
            case 2:
                return read_end(name, value, end_names, false, draft.source);
            case 3:
                return read_end(name, value, end_names, false, draft.destination);
            case 4: {
                if (!value.is_string()) return store(read_number(name, value, 0, most_id), draft.tag.experiment);
                const auto id = registry.experiment_id(std::string_view(value));
                if (!id) return wrong(name, "is not an experiment of the registry");
                draft.tag.experiment = *id;
                return {};
            }
            case 5:
                if (!value.is_string()) return store(read_number(name, value, 0, most_id), draft.tag.activity);
                activity_name = std::string_view(value);  // its id depends on the experiment, which may follow
                return {};
            case 6:
                return store(read_time(name, value), draft.time_ns);
            case 7:
                return store(read_time(name, value), draft.start_time_ns);
            case 8:
                return store(read_time(name, value), draft.end_time_ns);
            case 9:
                return read_usage(name, value, draft.usage);
            default:
                return store(read_text(name, value), draft.application);
        }
    };
    if (auto walked = walk(object, names, 6, "", false, take); !walked) return std::move(walked).error();
    if (!activity_name.empty()) {
        const auto id = registry.activity_id(draft.tag.experiment, activity_name);
        if (!id) return wrong({"activity"}, "is not an activity of experiment " + std::to_string(draft.tag.experiment));
        draft.tag.activity = *id;
    }
    return finished(draft);
}

Result<Event> read_flowd_go_form(dom::object object) {
    static constexpr std::array<std::string_view, 11> names{"State",  "Protocol",   "Src",        "Dst",
                                                            "Family", "Experiment", "Activity",   "StartTs",
                                                            "EndTs",  "CurrentTs",  "Application"};
    // flowd-go's README documents 0 and 1; its code accepts 2, 3 and 4.
    static constexpr std::array<std::pair<std::uint64_t, std::uint32_t>, 5> states{{{2, FLOWD_EVENT_START},
                                                                                    {3, FLOWD_EVENT_END},
                                                                                    {4, FLOWD_EVENT_ONGOING},
                                                                                    {0, FLOWD_EVENT_START},
                                                                                    {1, FLOWD_EVENT_END}}};
    static constexpr std::array<std::pair<std::uint64_t, std::uint32_t>, 2> protocols{{{0, IPPROTO_TCP}, {1, IPPROTO_UDP}}};
    static constexpr std::array<std::pair<std::uint64_t, std::uint32_t>, 2> families{
        {{AF_INET, AF_INET}, {AF_INET6, AF_INET6}}};
    static constexpr std::array<std::string_view, 2> end_names{"IP", "Port"};
    Draft draft;
    std::uint32_t family = 0;
    const auto end_of = [&](Member name, dom::element value, Endpoint& end) -> Result<void> {
        std::string_view text;
        if (value.get(text) == simdjson::SUCCESS) return read_joined(name, text, end);
        return read_end(name, value, end_names, true, end);
    };
    const auto take = [&](std::size_t index, Member name, dom::element value) -> Result<void> {
        switch (index) {
            case 0:
                return store(read_code(name, value, states), draft.kind);
            case 1:
                return store(read_code(name, value, protocols), draft.protocol);
            case 2:
                return end_of(name, value, draft.source);
            case 3:
                return end_of(name, value, draft.destination);
            case 4:
                return store(read_code(name, value, families), family);
            case 5:
                return store(read_number(name, value, 0, most_id), draft.tag.experiment);
            case 6:
                return store(read_number(name, value, 0, most_id), draft.tag.activity);
            case 7:
                return store(read_time(name, value), draft.start_time_ns);
            case 8:
                return store(read_time(name, value), draft.end_time_ns);
            case 9:
                return store(read_time(name, value), draft.time_ns);
            default:
                return store(read_text(name, value), draft.application);
        }
    };
    if (auto walked = walk(object, names, 4, "", true, take); !walked) return std::move(walked).error();
    if (family == AF_INET && !draft.source.address.is_v4()) return wrong({"Family"}, "is IPv4, but the addresses are not");
    // Family 10 (IPv6) is valid for IPv4-mapped addresses.
    // flowd-go's own example sends a start with an end time: it is used at the end only.
    if (draft.kind != FLOWD_EVENT_END) draft.end_time_ns = 0;
    return finished(draft);
}

void write_flowd_go_form(json::Writer& writer, const flowd_event& event) {
    const auto time = [](std::int64_t ns) {
        if (ns == 0) return std::string("0001-01-01T00:00:00Z");
        std::array<char, firefly::timestamp_length> text{};
        return std::string(firefly::print_timestamp(ns, text));
    };
    writer.object();
    writer.member("State", event.kind == FLOWD_EVENT_START ? 2 : event.kind == FLOWD_EVENT_END ? 3 : 4);
    writer.member("Protocol", event.key.protocol == IPPROTO_TCP ? 0 : 1);
    writer.member("Family", source_of(event.key).address.is_v4() ? AF_INET : AF_INET6);
    writer.member("Src", source_of(event.key).to_string()).member("Dst", destination_of(event.key).to_string());
    writer.member("Experiment", event.tag.experiment).member("Activity", event.tag.activity);
    writer.member("StartTs", time(event.start_time_ns)).member("EndTs", time(event.end_time_ns));
    writer.end();
}

}  // namespace flowd::api
