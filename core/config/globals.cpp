// SPDX-License-Identifier: Apache-2.0
#include "core/config/globals.hpp"

#include "core/config/value_tree.hpp"

namespace flowd::core {

namespace {

constexpr std::int64_t no_limit = INT64_MAX;
constexpr std::int64_t second = 1'000'000'000;

Option row(std::uint32_t type, const char* name, const char* default_text, const char* doc) {
    Option option;
    option.type = type;
    option.name = name;
    option.doc = doc;
    if (default_text != nullptr) option.default_text = default_text;
    return option;
}

Option bounded(Option option, std::int64_t minimum, std::int64_t maximum) {
    option.minimum = static_cast<double>(minimum);
    if (maximum != no_limit) option.maximum = static_cast<double>(maximum);
    return option;
}

Option duration(const char* name, const char* default_text, const char* unit, const char* doc) {
    Option option = bounded(row(FLOWD_OPTION_DURATION, name, default_text, doc), 1'000'000, no_limit);
    option.unit = unit;
    return option;
}

Option group(const char* name, const char* doc, OptionTable fields) {
    Option option = row(FLOWD_OPTION_GROUP, name, nullptr, doc);
    option.fields = std::move(fields);
    return option;
}

OptionTable make_global_options() {
    Option directory = row(FLOWD_OPTION_PATH, "", nullptr, "A directory.");
    directory.flags = FLOWD_OPTION_TRUSTED;
    Option modules = row(FLOWD_OPTION_LIST, "modules", nullptr, "Additional directories that are searched for modules.");
    modules.fields = {directory};
    // The minimum stop timeout, which leaves a module time for one flush.
    Option stop_timeout =
        duration("stopTimeout", "5s", "s", "How long an instance may take to stop before it is abandoned.");
    stop_timeout.maximum = static_cast<double>(600 * second);
    // Meters report each live flow every 20 s: with a shorter timeout, active flows would end between reports.
    Option idle_timeout = duration("idleTimeout", "60s", "s", "A metered flow ends when it has been idle for this long.");
    idle_timeout.minimum = static_cast<double>(30 * second);
    return {
        row(FLOWD_OPTION_PATH, "pidPath", nullptr, "File to which the daemon writes its process id."),
        row(FLOWD_OPTION_PATH, "workDir", nullptr, "Directory for state that is kept between runs."),
        modules,
        group("flows", "The flow table.",
              {bounded(row(FLOWD_OPTION_INTEGER, "maxLive", "1000000", "Maximum number of live flows."), 1, 100'000'000),
               bounded(row(FLOWD_OPTION_INTEGER, "maxPerInstance", nullptr,
                           "Maximum number of live flows per plugin instance; default: maxLive."),
                       1, 100'000'000),
               bounded(row(FLOWD_OPTION_INTEGER, "maxPerSource", nullptr,
                           "Maximum number of live flows per sender; default: maxLive."),
                       1, 100'000'000),
               idle_timeout,
               duration("maxAge", "24h", "s", "An announced flow ends when it has not been refreshed for this long."),
               duration("tombstone", "5s", "s", "How long late and repeated ends of a flow are swallowed."),
               bounded(row(FLOWD_OPTION_INTEGER, "history", "10000",
                           "How many ended flows are kept for `flowd-cpp flows --ended`; 0: none."),
                       0, 1'000'000)}),
        group("queues", "The queue of each backend.",
              {bounded(row(FLOWD_OPTION_INTEGER, "events", "65536", "Capacity in events."), 16, 16'777'216),
               bounded(row(FLOWD_OPTION_SIZE, "attachmentBytes", "64 MiB", "Capacity for attachments."), 65'536,
                       std::int64_t{1} << 40),
               duration("stallAfter", "1s", "s",
                        "How long a backend that takes no events may block plugins when its queue is full.")}),
        stop_timeout,
        group("control", "The control socket, used by commands such as `flowd-cpp status`.",
              {row(FLOWD_OPTION_PATH, "path", "/run/flowd-cpp/control", "Its path."),
               row(FLOWD_OPTION_STRING, "group", nullptr,
                   "Group whose members may query the daemon; default: the daemon's own group.")}),
    };
}

OptionTable make_instance_options() {
    return {
        row(FLOWD_OPTION_BOOLEAN, "required", "true", "Whether a failure of this instance stops the start of the daemon."),
        row(FLOWD_OPTION_PATH, "module", nullptr, "File of the third-party module that provides the component."),
        row(FLOWD_OPTION_BOOLEAN, "announce", "true",
            "Whether the backends are added that options of this instance imply, such as one for fireflyReceivers.")};
}

const flowd_value& at(const flowd_value& group_value, std::size_t index) {
    return *item_at(group_value, index);
}

std::uint64_t number_at(const flowd_value& group_value, std::size_t index) {
    return static_cast<std::uint64_t>(at(group_value, index).integer);
}

std::chrono::nanoseconds duration_at(const flowd_value& group_value, std::size_t index) {
    return std::chrono::nanoseconds(at(group_value, index).integer);
}

std::uint64_t number_or(const flowd_value& group_value, std::size_t index, std::uint64_t otherwise) {
    return is_present(at(group_value, index)) ? number_at(group_value, index) : otherwise;
}

}  // namespace

const OptionTable& global_options() {
    static const OptionTable table = make_global_options();
    return table;
}

const OptionTable& enricher_section_options() {
    static const OptionTable table{duration("period", "1s", "ms", "Sampling period of all live flows.")};
    return table;
}

const OptionTable& instance_options() {
    static const OptionTable table = make_instance_options();
    return table;
}

Globals globals_of(const flowd_value& top, const flowd_value& enrichers) {
    Globals globals;
    globals.pid_path = text_at(top, 0);
    globals.work_dir = text_at(top, 1);
    const flowd_value& modules = at(top, 2);
    for (std::size_t i = 0; i < modules.item_count; ++i) globals.modules.push_back(text_at(modules, i));
    const flowd_value& flows = at(top, 3);
    globals.flows.max_live = number_at(flows, 0);
    globals.flows.max_per_instance = number_or(flows, 1, globals.flows.max_live);
    globals.flows.max_per_source = number_or(flows, 2, globals.flows.max_live);
    globals.flows.idle_timeout = duration_at(flows, 3);
    globals.flows.max_age = duration_at(flows, 4);
    globals.flows.tombstone = duration_at(flows, 5);
    globals.flows.history = number_at(flows, 6);
    const flowd_value& queues = at(top, 4);
    globals.queues.events = number_at(queues, 0);
    globals.queues.attachment_bytes = number_at(queues, 1);
    globals.queues.stall_after = duration_at(queues, 2);
    globals.stop_timeout = duration_at(top, 5);
    const flowd_value& control = at(top, 6);
    globals.control.path = text_at(control, 0);
    globals.control.group = text_at(control, 1);
    globals.enricher_period = duration_at(enrichers, 0);
    return globals;
}

}  // namespace flowd::core
