// SPDX-License-Identifier: Apache-2.0
#include "core/service/explain.hpp"

#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <set>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/config/tag_text.hpp"
#include "core/flows/flow_history.hpp"
#include "core/flows/flow_key.hpp"
#include "core/modules/describe.hpp"
#include "core/service/own_findings.hpp"
#include "core/service/status_json.hpp"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/address.hpp"
#include "flowd/counted.hpp"
#include "flowd/event.hpp"
#include "flowd/filter.hpp"
#include "flowd/label.hpp"
#include "flowd/nearest.hpp"
#include "flowd/number.hpp"
#include "flowd/protocol.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr std::uint32_t max_scitag = 65535;  // domain of the SciTag header
constexpr std::size_t page_limit = 65536;

struct End {
    Endpoint endpoint;
    std::uint32_t zone = 0;
};

/// "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%eth0]:80"; without a port, the port is 0.
std::optional<End> end_of(std::string_view text) {
    std::string plain(text);
    std::uint32_t zone = 0;
    if (const auto percent = plain.find('%'); percent != std::string::npos) {
        const auto close = std::min(plain.find(']', percent), plain.size());
        const std::string name = plain.substr(percent + 1, close - percent - 1);
        zone = ::if_nametoindex(name.c_str());
        if (zone == 0) zone = whole_number<std::uint32_t>(name).value_or(0);
        if (zone == 0) return std::nullopt;
        plain.erase(percent, close - percent);
    }
    if (const auto alone = Address::parse(plain)) return End{{*alone, 0}, zone};
    const auto colon = plain.rfind(':');
    if (colon == std::string::npos) return std::nullopt;
    const auto address = Address::parse(std::string_view(plain).substr(0, colon));
    const auto port = whole_number<std::uint16_t>(std::string_view(plain).substr(colon + 1));
    if (!address || !port) return std::nullopt;
    return End{{*address, *port}, zone};
}

const char* const flow_hint = "write for example: flowd-cpp explain tcp [2001:db8::1]:5201 [2001:db8::2]:40000";

Result<ExplainQuestion> read_flow(std::uint8_t protocol, const std::string& source, const std::string& destination) {
    const auto from = end_of(source), to = end_of(destination);
    if (!from || !to) {
        const std::string& wrong = from ? destination : source;
        return Error{FLOWD_INVALID, "\"" + wrong + "\" is not an address and a port", flow_hint};
    }
    ExplainQuestion question;
    question.flow = make_key(from->endpoint, to->endpoint, protocol);
    question.flow->zone = from->zone != 0 ? from->zone : to->zone;
    return question;
}

ExplainQuestion tag_question(std::optional<std::uint32_t> experiment, std::optional<std::uint32_t> activity,
                             std::optional<std::uint32_t> label = {}) {
    return {{}, {experiment, activity, label}};
}

std::optional<std::uint32_t> experiment_id(std::string_view text, const Registry& registry) {
    if (const auto number = whole_number<std::uint32_t>(text)) return number;
    return registry.experiment_id(text);
}

/// "3/14", "cms/Analysis Input", "cms 14".
std::optional<ExplainQuestion> pair_in(std::string_view text, std::size_t separator, const Registry& registry) {
    const std::string_view rest = text.substr(separator + 1);
    const auto experiment = experiment_id(text.substr(0, separator), registry);
    if (!experiment || rest.empty()) return std::nullopt;
    auto activity = whole_number<std::uint32_t>(rest);
    if (!activity) activity = registry.activity_id(*experiment, rest);
    if (!activity) return std::nullopt;
    return tag_question(experiment, activity);
}

Result<ExplainQuestion> read_number(std::string_view text, bool is_hexadecimal) {
    const auto number = whole_number<std::uint32_t>(is_hexadecimal ? text.substr(2) : text, is_hexadecimal ? 16 : 10);
    if (!number || *number > label::mask)
        return Error{FLOWD_INVALID, "\"" + std::string(text) + "\" is neither a flow label nor a scitag",
                     "a flow label is 0x0 to 0xfffff, a scitag 0 to 65535"};
    const bool is_label = is_hexadecimal || *number > max_scitag;
    const flowd_tag tag = is_label ? label::decode(*number) : label::from_scitag(*number);
    return tag_question(tag.experiment, tag.activity, is_label ? number : std::nullopt);
}

Result<ExplainQuestion> read_tag(const std::string& text, const Registry& registry) {
    const bool is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    const bool is_number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (is_hexadecimal || is_number) return read_number(text, is_hexadecimal);
    if (const auto id = registry.experiment_id(text)) return tag_question(id, std::nullopt);
    for (auto at = text.find_first_of("/ "); at != std::string::npos; at = text.find_first_of("/ ", at + 1))
        if (const auto found = pair_in(text, at, registry)) return *found;
    if (const auto id = registry.common_activity_id(text)) return tag_question(std::nullopt, id);
    std::vector<std::string> names;
    for (const auto& [id, experiment] : registry.experiments()) names.push_back(experiment.name);
    const std::string nearest = nearest_word(text, names);
    return Error{FLOWD_INVALID, "\"" + text + "\" is neither a flow, a label, a scitag nor a tag of the registry",
                 nearest.empty() ? "write a flow (tcp [2001:db8::1]:5201 [2001:db8::2]:40000), a label (0x30038), a scitag "
                                   "(206), a tag (cms/14) or an experiment (cms)"
                                 : "did you mean \"" + nearest + "\"?"};
}

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
        const auto first = text.find_first_not_of(" \t", at);
        if (first == std::string_view::npos) break;
        at = std::min(text.find_first_of(" \t", first), text.size());
        parts.emplace_back(text.substr(first, at - first));
    }
    return parts;
}

std::string with_precedence(const FlowAnnouncer& announcer) {
    return announcer.name + " (" + precedence_name(announcer.precedence) + ")";
}

template <typename List, typename Text>
std::string joined(const List& list, Text&& text) {
    std::string out;
    for (const auto& one : list) out += (out.empty() ? "" : ", ") + text(one);
    return out;
}

const char* end_reason_text(std::uint32_t reason) {
    switch (reason) {
        case FLOWD_END_ANNOUNCED:
            return "its end was announced";
        case FLOWD_END_IDLE:
            return "it was idle";
        case FLOWD_END_AGE:
            return "it was not refreshed for flows.maxAge";
        case FLOWD_END_SOCKET_GONE:
            return "the kernel no longer has its socket";
        case FLOWD_END_SAMPLE_GONE:
            return "an enricher no longer found its socket";
        case FLOWD_END_WITHDRAWN:
            return "the last instance that announced it stopped";
        default:
            return "for an unknown reason";
    }
}

Explanation verdict(CoreVerdict verdict, std::string text, bool is_refusal = false, std::int64_t time_ns = 0) {
    return {name_of(verdict), {}, std::move(text), time_ns, is_refusal};
}

std::string seen_text(const flowd_flow& flow) {
    return "last at " + utc_text(flow.seen_time_ns);
}

/// Why the flow has its tag. Which tags the others would give is known to them alone; they explain it themselves.
Explanation tag_verdict(const flowd_flow& flow, const std::vector<FlowAnnouncer>& announcers, const Registry& registry) {
    const std::string tag = "The tag is " + tag_in_words(flow.tag, registry) + ", given by ";
    const auto owner = std::find_if(announcers.begin(), announcers.end(), [](const auto& one) { return one.gave_tag; });
    if (owner == announcers.end())
        return verdict(CoreVerdict::tag_left,
                       tag + std::string(to_view(flow.announcer)) +
                           ", which no longer announces the flow: the next announcement replaces it.");
    const std::string by = tag + with_precedence(*owner);
    std::vector<FlowAnnouncer> equal, higher, lower;
    for (const FlowAnnouncer& one : announcers)
        if (!one.gave_tag)
            (one.precedence > owner->precedence    ? higher
             : one.precedence == owner->precedence ? equal
                                                   : lower)
                .push_back(one);
    if (!higher.empty())
        return verdict(CoreVerdict::tag_valid,
                       by + ": " + joined(higher, with_precedence) + " announces 0/0, which does not replace a valid tag.");
    if (!equal.empty())
        return verdict(CoreVerdict::tag_first, by + ": among instances of equal precedence, as " +
                                                   joined(equal, with_precedence) + ", the first specific tag is kept.");
    if (!lower.empty())
        return verdict(CoreVerdict::tag_precedence,
                       by + ": its precedence is higher than that of " + joined(lower, with_precedence) + ".");
    return verdict(CoreVerdict::tag_alone, by + "; no other instance announces the flow.");
}

std::string ended_text(const flowd_flow& flow) {
    const std::string rule(to_view(flow.rule));
    return "Announced by " + std::string(to_view(flow.announcer)) + " (" + precedence_name(flow.precedence) + ")" +
           (rule.empty() ? "" : ", by " + rule) + ", from " + utc_text(flow.start_time_ns) + " to " +
           utc_text(flow.end_time_ns) + ", with " + counted(flow.usage.bytes_sent, "byte") + " sent and " +
           std::to_string(flow.usage.bytes_received) + " received. It has ended: " + end_reason_text(flow.end_reason) + ".";
}

bool is_malformed(const flowd_key& key) {
    const bool has_ports = key.protocol == IPPROTO_TCP || key.protocol == IPPROTO_UDP || key.protocol == IPPROTO_SCTP;
    const Address source(key.source), destination(key.destination);
    return key.protocol == 0 || source.is_unspecified() || destination.is_unspecified() ||
           (has_ports && (key.source_port == 0 || key.destination_port == 0));
}

std::vector<Explanation> core_verdicts(const ExplainedFlow& explained, std::size_t plugins, const Services& services) {
    const Registry& registry = services.registries.current();
    const std::uint64_t max_live = services.bus.limits().max_live;
    const flowd_flow& flow = explained.flow();
    std::vector<Explanation> all;
    if (explained.is_live()) {
        const std::string rule(to_view(flow.rule));
        all.push_back(verdict(CoreVerdict::announced,
                              "Announced by " + joined(explained.announcers(), with_precedence) +
                                  (rule.empty() ? "" : ", by " + rule) + ", " + seen_text(flow) + ".",
                              false, flow.start_time_ns));
        if (explained.is_reversed())
            all.push_back(
                verdict(CoreVerdict::reversed, "The flow was announced in the opposite direction: it is the same flow."));
        all.push_back(tag_verdict(flow, explained.announcers(), registry));
        return all;
    }
    if (explained.has_ended()) {
        all.push_back(verdict(CoreVerdict::ended, ended_text(flow), true, flow.end_time_ns));
        all.push_back(
            verdict(CoreVerdict::not_kept,
                    "Of an ended flow the daemon does not keep which other instances announced it, why its tag was "
                    "chosen, its label on each interface, and what each collector was told."));
    } else if (is_malformed(flow.key))
        all.push_back(
            verdict(CoreVerdict::malformed,
                    "The tuple is malformed: an unspecified address, protocol 0, or port 0 with TCP, UDP or SCTP.", true));
    else if (plugins == 0)
        all.push_back(verdict(CoreVerdict::no_plugin, "No plugin runs, so nothing announces flows.", true));
    else if (max_live != 0 && services.bus.count() >= max_live)
        all.push_back(verdict(CoreVerdict::table_full,
                              "No instance has announced this flow, or it did not fit: the table has flows.maxLive (" +
                                  std::to_string(max_live) + ") flows.",
                              true));
    else
        all.push_back(verdict(CoreVerdict::not_announced,
                              "No instance has announced this flow, and it is not among the last " +
                                  std::to_string(services.bus.count_ended()) + " flows that ended.",
                              true));
    return all;
}

void write_explanation(json::Writer& w, const std::string& instance, const Explanation& one) {
    w.object().member("instance", instance).member("verdict", one.verdict).member("subject", one.subject);
    w.member("text", one.text).member("time", utc_text(one.time_ns)).member("refusal", one.is_refusal);
    if (one.label) w.member("label", label_text(*one.label));
    if (one.tag) w.member("experimentId", one.tag->experiment).member("activityId", one.tag->activity);
    w.end();
}

void write_id(json::Writer& w, const char* name, const char* id_name, std::string_view text,
              std::optional<std::uint32_t> id) {
    w.member(name, text);
    w.key(id_name);
    id ? w.value(*id) : w.value(nullptr);
}

/// The label that an instance writes into a flow's packets.
std::optional<std::uint32_t> label_of(const std::map<std::string, std::vector<std::vector<Explanation>>>& said,
                                      std::size_t flow) {
    for (const auto& [instance, of_flows] : said)
        if (flow < of_flows.size())
            for (const Explanation& one : of_flows[flow])
                if (one.label) return one.label;
    return std::nullopt;
}

/// Adds the tags below an option. `path`: of the option; `in`: the configuration.
void find_tags(const InstanceConfig& config, const OptionTable& rows, const flowd_value& group, const std::string& path,
               const TagQuestion& question, std::vector<ConfiguredTag>& into) {
    const flowd_value *experiment = nullptr, *activity = nullptr, *experiments = nullptr, *activities = nullptr;
    const auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
    const auto add = [&](const std::string& at, const flowd_value& e, const flowd_value& a) {
        const flowd_tag tag{static_cast<std::uint32_t>(e.integer), static_cast<std::uint32_t>(a.integer)};
        if (question.asks_for(tag))
            into.push_back({config.written_path + (at.empty() ? "" : "." + at), config.location_of(at).to_string(), tag});
    };
    for (std::size_t i = 0; i < rows.size() && i < group.item_count; ++i) {
        const flowd_value& value = *item_at(group, i);
        const Option& row = rows[i];
        const std::uint32_t item = row.fields.empty() ? 0 : row.fields.front().type;
        if (value.type == FLOWD_OPTION_EXPERIMENT) experiment = &value;
        if (value.type == FLOWD_OPTION_ACTIVITY) activity = &value;
        if (row.type == FLOWD_OPTION_GROUP && value.type == FLOWD_OPTION_GROUP)
            find_tags(config, row.fields, value, below(row.name), question, into);
        if (row.type != FLOWD_OPTION_LIST) continue;
        if (item == FLOWD_OPTION_EXPERIMENT) experiments = &value;
        if (item == FLOWD_OPTION_ACTIVITY) activities = &value;
        if (item == FLOWD_OPTION_GROUP)
            for (std::size_t k = 0; k < value.item_count; ++k)
                find_tags(config, row.fields.front().fields, *item_at(value, k),
                          below(row.name) + "[" + std::to_string(k) + "]", question, into);
    }
    if (experiment != nullptr && activity != nullptr) add(path, *experiment, *activity);
    if (experiments != nullptr && activities != nullptr)
        for (std::size_t k = 0; k < std::min(experiments->item_count, activities->item_count); ++k)
            add(path, *item_at(*experiments, k), *item_at(*activities, k));
}

}  // namespace

const char* name_of(CoreVerdict verdict) {
    static constexpr std::array names{
#define FLOWD_NAME(name, word, text) word,
        FLOWD_CORE_VERDICTS(FLOWD_NAME)
#undef FLOWD_NAME
    };
    return names[static_cast<std::size_t>(verdict)];
}

Result<ExplainQuestion> read_question(std::span<const std::string> words, const Registry& registry) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    const std::vector<std::string> parts = parts_of(text);
    text.clear();
    for (const std::string& part : parts) text += (text.empty() ? "" : " ") + part;
    if (parts.empty())
        return Error{FLOWD_INVALID, "explain takes a flow, a label, a scitag, a tag or an experiment", flow_hint};
    const auto protocol = parse_protocol(parts.front());
    const bool names_ends = parts.size() > 1 && parts[1].find(':') != std::string::npos;
    if (protocol && parts.size() == 3) return read_flow(*protocol, parts[1], parts[2]);
    if (protocol && parts.size() == 2 && names_ends)
        return Error{FLOWD_INVALID, "explain takes a protocol and two ends", flow_hint};
    if (!protocol && names_ends)
        return Error{FLOWD_INVALID, "\"" + parts.front() + "\" is neither tcp, udp, sctp nor a number to 255", flow_hint};
    return read_tag(text, registry);
}

ExplainedFlow::ExplainedFlow(const flowd_key& key) : asked_(key) {
    flow_.size = sizeof flow_;
    flow_.key = key;
}

void ExplainedFlow::take(const flowd_flow& flow, std::span<const FlowAnnouncer> announcers) {
    flow_ = flow;
    id_ = flow.flow_id;
    texts_ = FlowTexts(to_view(flow.application), to_view(flow.rule));
    texts_.lend_to(flow_);
    announcers_.assign(announcers.begin(), announcers.end());
    if (has_ended()) flow_.flow_id = 0;
}

void ExplainedFlow::look_up_ended(const Bus& bus) {
    flowd_key wanted = asked_;
    normalise(wanted, 0);
    flowd_flow_filter filter{};
    filter.size = sizeof filter;
    filter.members = FLOWD_FILTER_NETWORK | FLOWD_FILTER_PORT | FLOWD_FILTER_PROTOCOL;
    std::copy(std::begin(wanted.source), std::end(wanted.source), std::begin(filter.network));
    filter.prefix_length = 128;
    filter.port = wanted.source_port;
    filter.protocol = wanted.protocol;
    std::uint64_t cursor = 0;
    do {
        const auto result = bus.page_ended(&filter, cursor, page_limit, [&](const flowd_flow& flow) {
            if (match(flow.key, wanted) == Match::none || flow.end_time_ns == flow_.end_time_ns) return true;
            if (!is_live() && !has_ended())
                take(flow, {});
            else
                earlier_.add(flow, FlowTexts(to_view(flow.application), to_view(flow.rule)));
            return earlier_.size() < most_earlier;
        });
        if (result != FLOWD_OK) break;
    } while (cursor != 0 && earlier_.size() < most_earlier);
}

void ExplainedFlow::look_up_changes(const Bus& bus) {
    if (id_ == 0) return;
    std::uint64_t position = 0, lost = 0;
    (void)bus.read_events(position, FlowHistory::events_kept, lost, [&](const flowd_observed& one) {
        if (one.flow == nullptr || one.flow->flow_id != id_ || one.kind == FLOWD_OBSERVED_ONGOING) return true;
        changes_.push_back(
            {one.kind, one.time_ns, std::string(to_view(one.flow->announcer)), one.flow->tag, one.former_tag});
        if (changes_.size() > most_changes) changes_.pop_front();
        return true;
    });
}

bool ExplainedFlow::is_reversed() const {
    return source_of(asked_) != source_of(flow_.key);
}

std::string explain_json(const Services& services, const ExplainedFlow& explained, std::size_t plugins,
                         const FlowExplanations& said) {
    const Registry& registry = services.registries.current();
    std::string out;
    json::Writer w(out);
    w.object().member("known", explained.is_live());
    w.key("flow");
    flowd_flow flow = explained.flow();
    flow.flow_id = explained.id();
    write_flow(w, flow, registry, unix_ns());
    w.member("state", explained.is_live() ? "live" : explained.has_ended() ? "ended" : "unknown");
    w.member("reversed", explained.is_reversed());
    w.key("announcers").array();
    for (const FlowAnnouncer& one : explained.announcers()) {
        w.object().member("instance", one.name).member("precedence", precedence_name(one.precedence));
        w.member("announcements", one.announcements).member("gaveTag", one.gave_tag).end();
    }
    w.end().key("changes").array();
    for (const FlowChange& one : explained.changes()) {
        w.object().member("time", utc_text(one.time_ns)).member("event", observed_kind_name(one.kind));
        w.member("instance", one.instance).member("tag", tag_in_words(one.tag, registry));
        w.member("formerTag", one.kind == FLOWD_OBSERVED_RETAG ? tag_in_words(one.former_tag, registry) : "").end();
    }
    w.end().key("earlier").array();
    for (const flowd_flow& before : explained.earlier()) write_flow(w, before, registry, unix_ns());
    w.end().key("explanations").array();
    for (const Explanation& one : core_verdicts(explained, plugins, services))
        write_explanation(w, OwnFindings::instance, one);
    for (const auto& [instance, explanations] : said)
        for (const Explanation& one : explanations) write_explanation(w, instance, one);
    w.end().end();
    return out;
}

std::shared_ptr<TagSurvey> survey(const Bus& bus, const TagQuestion& question) {
    auto found = std::make_shared<TagSurvey>();
    flowd_flow_filter filter{};
    filter.size = sizeof filter;
    if (question.experiment) filter.members |= FLOWD_FILTER_EXPERIMENT;
    if (question.activity) filter.members |= FLOWD_FILTER_ACTIVITY;
    filter.tag = {question.experiment.value_or(0), question.activity.value_or(0)};
    const std::size_t examined = question.label ? TagSurvey::most_examined : TagSurvey::most_shown;
    auto source = found->sources.end();
    std::uint64_t cursor = 0;
    do {
        const auto result = bus.page(&filter, cursor, page_limit, [&](const flowd_flow& flow) {
            ++found->flows;
            const std::string_view announcer = to_view(flow.announcer), rule = to_view(flow.rule);
            // Most flows have the source of the one before: no copies of its texts.
            if (source == found->sources.end() || source->first.first != announcer || source->first.second != rule) {
                std::pair names{std::string(announcer), std::string(rule)};
                source = found->sources.find(names);
                if (source == found->sources.end() && found->sources.size() < TagSurvey::most_sources)
                    source = found->sources.emplace(std::move(names), 0).first;
            }
            if (source != found->sources.end()) ++source->second;
            if (found->examined.size() < examined)
                found->examined.add(flow, FlowTexts(to_view(flow.application), to_view(flow.rule)));
            return true;
        });
        if (result != FLOWD_OK) break;
    } while (cursor != 0);
    do {
        const auto result = bus.page_ended(&filter, cursor, page_limit, [&](const flowd_flow& flow) {
            if (++found->ended_flows <= TagSurvey::most_shown)
                found->ended.add(flow, FlowTexts(to_view(flow.application), to_view(flow.rule)));
            return true;
        });
        if (result != FLOWD_OK) break;
    } while (cursor != 0);
    return found;
}

std::vector<ConfiguredTag> configured_tags(const InstanceConfig& config, const TagQuestion& question) {
    std::vector<ConfiguredTag> found;
    find_tags(config, config.options, config.value(), {}, question, found);
    return found;
}

std::string explain_tag_json(const Services& services, const TagQuestion& question, const TagSurvey& survey,
                             const std::vector<ConfiguredTag>& configured,
                             const std::map<std::string, std::vector<std::vector<Explanation>>>& said) {
    const Registry& registry = services.registries.current();
    const bool is_tag = question.experiment && question.activity;
    const flowd_tag tag{question.experiment.value_or(0), question.activity.value_or(0)};
    const std::string_view experiment = question.experiment ? registry.experiment_name(tag.experiment) : std::string_view();
    const std::string_view activity = is_tag ? registry.activity_name(tag.experiment, tag.activity) : std::string_view();
    const bool is_registered = is_tag ? !activity.empty() : !question.experiment || !experiment.empty();
    const auto flows = survey.examined.flows();
    std::vector<std::optional<std::uint32_t>> labels;
    std::uint64_t matching = 0;
    for (std::size_t i = 0; i < flows.size(); ++i) {
        labels.push_back(label_of(said, i));
        if (question.label && labels.back() == question.label) ++matching;
    }
    std::optional<CatchAllTag> catch_all = services.bus.catch_all();
    if (catch_all && !question.asks_for(catch_all->tag)) catch_all.reset();
    const std::string places =
        joined(configured, [](const ConfiguredTag& one) { return one.path + " (" + one.place + ")"; });

    Explanation reason;
    if (is_tag && tag.experiment == 0 && tag.activity == 0)
        reason = verdict(CoreVerdict::no_valid_tag,
                         "0/0 means \"no valid tag\": flows with it are announced, never marked.", true);
    else if (question.label && survey.flows > 0 && matching == 0)
        reason = verdict(CoreVerdict::other_entropy,
                         "The daemon has " + counted(survey.flows, "live flow") + " with this tag, but none of the " +
                             std::to_string(flows.size()) +
                             " that were examined has this label: the entropy bits differ, or they are not marked.",
                         true);
    else if (survey.flows > 0)
        reason = verdict(CoreVerdict::carried, counted(survey.flows, "live flow") + " with this tag.");
    else if (catch_all)
        reason = verdict(CoreVerdict::catch_all,
                         "No flow has this tag of its own; it is the catch-all of " + catch_all->announcer +
                             ": all marked traffic without a tag of its own carries it.",
                         false, catch_all->since_ns);
    else if (survey.ended_flows > 0)
        reason = verdict(CoreVerdict::only_ended,
                         "No live flow has this tag; " + std::to_string(survey.ended_flows) + " of the last " +
                             std::to_string(services.bus.count_ended()) +
                             " flows that ended had it. Which label their packets carried is not kept.",
                         true);
    else if (!configured.empty())
        reason = verdict(CoreVerdict::not_matched, places + " would give this tag, but no live flow has it.", true);
    else if (is_registered)
        reason = verdict(CoreVerdict::not_configured,
                         "Nothing in the configuration gives this tag, and no program announces a flow with it.", true);
    else
        reason = verdict(CoreVerdict::not_registered,
                         "The tag is not in the registry and nothing in the configuration gives it: a label with it was "
                         "probably chosen by a kernel or another program.",
                         true);

    std::string out;
    json::Writer w(out);
    w.object();
    if (question.label) w.member("label", label_text(*question.label));
    if (is_tag) w.member("scitag", label::scitag(tag));
    write_id(w, "experiment", "experimentId", experiment, question.experiment);
    write_id(w, "activity", "activityId", activity, question.activity);
    w.member("registered", is_registered).member("verdict", reason.verdict).member("reason", reason.text);
    w.member("liveFlows", survey.flows);
    w.member("endedFlows", survey.ended_flows);
    if (question.label) w.member("flowsWithLabel", matching).member("flowsExamined", flows.size());
    w.member("catchAll", catch_all ? catch_all->announcer : std::string());
    std::set<std::string> interfaces;
    for (const auto& one : services.interfaces.list())
        if (one.use == FLOWD_INTERFACE_MARKS && one.index != 0) interfaces.insert(one.name);
    w.key("markedInterfaces").array();
    for (const std::string& name : interfaces) w.value(name);
    w.end().key("configured").array();
    for (const ConfiguredTag& one : configured)
        w.object()
            .member("option", one.path)
            .member("place", one.place)
            .member("experimentId", one.tag.experiment)
            .member("activityId", one.tag.activity)
            .end();
    w.end().key("sources").array();
    for (const auto& [source, count] : survey.sources)
        w.object().member("announcer", source.first).member("rule", source.second).member("flows", count).end();
    w.end().key("flows").array();
    std::size_t shown = 0;
    for (std::size_t i = 0; i < flows.size() && shown < TagSurvey::most_shown; ++i) {
        if (question.label && labels[i] != question.label) continue;
        ++shown;
        w.object().member("source", source_of(flows[i].key).to_string());
        w.member("destination", destination_of(flows[i].key).to_string()).member("protocol", flows[i].key.protocol);
        w.member("label", labels[i] ? label_text(*labels[i]) : std::string());
        w.member("announcer", to_view(flows[i].announcer)).member("rule", to_view(flows[i].rule)).end();
    }
    w.end().key("ended").array();
    for (const flowd_flow& flow : survey.ended.flows()) write_flow(w, flow, registry, unix_ns());
    w.end().end();
    return out;
}

}  // namespace flowd::core
