// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp explain`: what the core knows of a flow, or of a tag, and why. Values; no thread concerns.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/configuration.hpp"
#include "core/flows/flow_copies.hpp"
#include "core/host/findings.hpp"
#include "core/host/services.hpp"
#include "flowd/result.hpp"

namespace flowd::core {

/// The reasons that the core gives; the others are those of modules. docs/explain.md lists all of them.
#define FLOWD_CORE_VERDICTS(X)                                                             \
    X(announced, "announced", "instances announce it now")                                 \
    X(reversed, "reversed", "the flow was announced in the opposite direction")            \
    X(tag_alone, "tag-alone", "one instance announces it and gives the tag")               \
    X(tag_precedence, "tag-precedence", "the instance with the highest precedence wins")   \
    X(tag_first, "tag-first", "among equal precedence the first tag is kept")              \
    X(tag_valid, "tag-valid", "a valid tag is not replaced by 0/0")                        \
    X(tag_left, "tag-left", "the instance that gave the tag no longer announces the flow") \
    X(ended, "ended", "the flow has ended")                                                \
    X(not_kept, "not-kept", "what is not kept of an ended flow")                           \
    X(malformed, "malformed", "the bus refuses such a tuple")                              \
    X(no_plugin, "no-plugin", "no plugin runs")                                            \
    X(table_full, "table-full", "flows.maxLive is reached")                                \
    X(not_announced, "not-announced", "no instance has announced it")                      \
    X(carried, "carried", "of a tag: live flows have it")                                  \
    X(no_valid_tag, "no-valid-tag", "of a tag: it is 0/0")                                 \
    X(catch_all, "catch-all", "of a tag: it is the catch-all")                             \
    X(other_entropy, "other-entropy", "of a label: flows have its tag, but another label") \
    X(only_ended, "only-ended", "of a tag: only ended flows had it")                       \
    X(not_matched, "not-matched", "of a tag: configured, but no live flow matches")        \
    X(not_configured, "not-configured", "of a tag: nothing in the configuration gives it") \
    X(not_registered, "not-registered", "of a tag: neither in the registry nor configured")

enum class CoreVerdict : std::uint8_t {
#define FLOWD_ENUMERATOR(name, word, text) name,
    FLOWD_CORE_VERDICTS(FLOWD_ENUMERATOR)
#undef FLOWD_ENUMERATOR
        count_
};
[[nodiscard]] const char* name_of(CoreVerdict verdict);

/// A tag, an experiment with any activity, or a flow label.
struct TagQuestion {
    std::optional<std::uint32_t> experiment, activity;  ///< at least one of them
    std::optional<std::uint32_t> label;                 ///< as given, with its entropy bits

    [[nodiscard]] bool asks_for(flowd_tag tag) const {
        return experiment.value_or(tag.experiment) == tag.experiment && activity.value_or(tag.activity) == tag.activity;
    }
};

struct ExplainQuestion {
    std::optional<flowd_key> flow;
    TagQuestion tag;  ///< without a flow
};

/// "tcp [2001:db8::1]:5201 192.0.2.1:40000" (a protocol by name or number, and both ends), a label ("0x30038"), a scitag
/// ("206"), a tag ("3/14", "cms/Analysis Input") or an experiment ("cms"); in one word or several.
[[nodiscard]] Result<ExplainQuestion> read_question(std::span<const std::string> words, const Registry& registry);

/// An event that gave a flow its tag or its end.
struct FlowChange {
    std::uint32_t kind = 0;  ///< FLOWD_OBSERVED_*
    std::int64_t time_ns = 0;
    std::string instance;  ///< that gave the tag
    flowd_tag tag{}, former_tag{};
};

/// A copy of a flow, live or ended, or of a tuple that neither the table nor the history has; then flow_id is 0. The bus
/// must outlive it.
class ExplainedFlow {
  public:
    explicit ExplainedFlow(const flowd_key& key);
    ExplainedFlow(const ExplainedFlow&) = delete;
    ExplainedFlow& operator=(const ExplainedFlow&) = delete;

    void take(const flowd_flow& flow, std::span<const FlowAnnouncer> announcers);
    /// Looks for the tuple among the ended flows: the latest one, unless the table has a flow, and those before it. Takes
    /// long with a large history.
    void look_up_ended(const Bus& bus);
    /// The latest events of the flow that the core keeps. A walk through all events that are kept.
    void look_up_changes(const Bus& bus);
    /// As passed to instances: an ended flow is not announced any more.
    [[nodiscard]] const flowd_flow& flow() const { return flow_; }
    [[nodiscard]] std::uint64_t id() const { return id_; }  ///< also of an ended flow; 0: unknown
    [[nodiscard]] bool is_live() const { return flow_.flow_id != 0 && flow_.end_time_ns == 0; }
    [[nodiscard]] bool has_ended() const { return flow_.end_time_ns != 0; }
    [[nodiscard]] bool is_reversed() const;  ///< asked in the opposite direction
    [[nodiscard]] const std::vector<FlowAnnouncer>& announcers() const { return announcers_; }
    /// Earlier flows of the tuple, the latest first.
    [[nodiscard]] std::span<const flowd_flow> earlier() const { return earlier_.flows(); }
    /// The oldest first.
    [[nodiscard]] const std::deque<FlowChange>& changes() const { return changes_; }

  private:
    static constexpr std::size_t most_earlier = 20;
    static constexpr std::size_t most_changes = 20;
    flowd_key asked_;
    std::uint64_t id_ = 0;
    flowd_flow flow_{};
    FlowTexts texts_;
    std::vector<FlowAnnouncer> announcers_;
    std::deque<FlowChange> changes_;
    FlowCopies earlier_;
};

/// The explanations of instances, by their name.
using FlowExplanations = std::map<std::string, std::vector<Explanation>>;

/// `plugins`: the number that run.
[[nodiscard]] std::string explain_json(const Services& services, const ExplainedFlow& flow, std::size_t plugins,
                                       const FlowExplanations& said);

/// What the flow table and the history have of a tag.
struct TagSurvey {
    static constexpr std::size_t most_examined = 4096;  ///< flows whose label instances are asked for
    static constexpr std::size_t most_shown = 20;
    static constexpr std::size_t most_sources = 64;

    std::uint64_t flows = 0;
    std::map<std::pair<std::string, std::string>, std::uint64_t> sources;  ///< flows by announcer and rule
    FlowCopies examined;                                                   ///< some of the flows
    std::uint64_t ended_flows = 0;
    FlowCopies ended;  ///< the latest of them
};
/// A walk through the flow table and the history: takes long with a million flows.
[[nodiscard]] std::shared_ptr<TagSurvey> survey(const Bus& bus, const TagQuestion& question);

/// An option, or two of a group, that gives a tag.
struct ConfiguredTag {
    std::string path;   ///< "plugins.netlink.rules[2]"
    std::string place;  ///< "conf.yaml:12:5"
    flowd_tag tag{};
};
[[nodiscard]] std::vector<ConfiguredTag> configured_tags(const InstanceConfig& config, const TagQuestion& question);

/// `said`: for each instance the explanations of each examined flow.
[[nodiscard]] std::string explain_tag_json(const Services& services, const TagQuestion& question, const TagSurvey& survey,
                                           const std::vector<ConfiguredTag>& configured,
                                           const std::map<std::string, std::vector<std::vector<Explanation>>>& said);

}  // namespace flowd::core
