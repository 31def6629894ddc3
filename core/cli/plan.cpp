// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp plan`: the tags that the sockets of this host would get by a configuration. It knows no module.
#include <netinet/tcp.h>

#include <algorithm>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/text.hpp"
#include "core/cli/commands.hpp"
#include "core/config/tag_text.hpp"
#include "core/host/plan.hpp"
#include "core/service/installation.hpp"
#include "core/service/problem_exit.hpp"
#include "core/setup/sockets.hpp"
#include "flowd/address.hpp"
#include "flowd/event.hpp"
#include "flowd/json.hpp"
#include "flowd/label.hpp"
#include "flowd/protocol.hpp"

namespace flowd::core::cli {
namespace {

/// One instance that offers a plan.
struct Planner {
    std::string instance;
    std::uint32_t precedence = 0;
    std::vector<std::optional<Planned>> planned;
};

struct Outlook {
    const Planner* planner = nullptr;  ///< null: no instance has anything to do with it
    const Planned* planned = nullptr;
};

bool is_tagged(const Planned& planned) {
    return planned.outcome != FLOWD_PLANNED_NOT;
}

/// The flow with the highest precedence, else the catch-all with the highest, else the reason of the highest: the order
/// in which the bus and the marker decide. Among equal ones the first in the configuration is shown.
Outlook outlook_of(const std::vector<Planner>& planners, std::size_t connection) {
    Outlook best;
    const auto rank = [](const Planner& planner, const Planned& planned) {
        const int kind = !is_tagged(planned) ? 0 : planned.outcome == FLOWD_PLANNED_CATCH_ALL ? 1 : 2;
        return std::pair(kind, planner.precedence);
    };
    for (const Planner& planner : planners) {
        const auto& planned = planner.planned[connection];
        if (!planned) continue;
        if (best.planned == nullptr || rank(planner, *planned) > rank(*best.planner, *best.planned))
            best = {&planner, &*planned};
    }
    return best;
}

std::string how(const Outlook& outlook) {
    if (outlook.planned == nullptr) return "no configured plugin finds such sockets by itself";
    switch (outlook.planned->outcome) {
        case FLOWD_PLANNED_FLOW:
            return "announced and marked";
        case FLOWD_PLANNED_CATCH_ALL:
            return "marked by the catch-all: " + outlook.planned->text;
        case FLOWD_PLANNED_ANY:
            return "announced, with a tag that is chosen then";
        default:
            return outlook.planned->text;
    }
}

class PlanReport {
  public:
    explicit PlanReport(const Registry& registry) : registry_(registry) {}

    void add(const flowd_connection& connection, const Outlook& outlook) {
        const bool has_tag = outlook.planned != nullptr && is_tagged(*outlook.planned);
        const bool is_known = has_tag && outlook.planned->outcome != FLOWD_PLANNED_ANY;
        ++sockets_;
        if (has_tag) ++tagged_;
        const flowd_tag tag = is_known ? outlook.planned->tag : flowd_tag{};
        const std::string_view experiment = registry_.experiment_name(tag.experiment);
        const std::string_view activity = registry_.activity_name(tag.experiment, tag.activity);
        const auto named = [&](std::string_view name, std::uint32_t id) {
            return !is_known ? std::string() : name.empty() ? std::to_string(id) : std::string(name);
        };
        rows_.object().member("protocol", protocol_name(connection.key.protocol));
        rows_.member("local", source_of(connection.key).to_string());
        rows_.member("remote", destination_of(connection.key).to_string());
        rows_.member("experiment", named(experiment, tag.experiment)).member("activity", named(activity, tag.activity));
        rows_.key("experimentId");
        is_known ? rows_.value(tag.experiment) : rows_.value(nullptr);
        rows_.key("activityId");
        is_known ? rows_.value(tag.activity) : rows_.value(nullptr);
        rows_.member("instance", outlook.planner == nullptr ? std::string() : outlook.planner->instance);
        rows_.member("rule", outlook.planned == nullptr ? std::string() : outlook.planned->rule);
        rows_.member("result", how(outlook)).end();
    }

    [[nodiscard]] std::string json(const std::string& file, const std::vector<Planner>& planners,
                                   const std::vector<std::string>& unknown) const {
        std::string text;
        json::Writer w(text);
        w.object().member("file", file).member("sockets", sockets_).member("tagged", tagged_);
        w.key("plannedBy").array();
        for (const Planner& one : planners) w.value(one.instance);
        w.end().key("notKnownBefore").array();
        for (const std::string& one : unknown) w.value(one);
        w.end().key("plan").raw("[" + text_ + "]").end();
        return text;
    }

  private:
    const Registry& registry_;
    std::string text_;
    json::Writer rows_{text_};
    std::uint64_t sockets_ = 0, tagged_ = 0;
};

}  // namespace

ExitCode plan(const GlobalOptions& options, const Output& output) {
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = installation.load(options.conf, {true, {}});
    if (!loaded.configuration) {
        output.err << loaded.problems.to_string();
        const ExitCode code = exit_code_of(loaded.problems);
        return code == ExitCode::ok ? ExitCode::failure : code;
    }
    const auto sockets = open_sockets();
    if (!sockets) return output.fail(sockets.error());
    std::vector<Planner> planners;
    std::vector<std::string> unknown;  // plugins whose flows others announce
    for (const InstanceConfig& instance : loaded.configuration->instances) {
        if (instance.kind != FLOWD_PLUGIN) continue;
        const std::string name = std::string(kind_name(instance.kind)) + " " + instance.key;
        auto planned = plan_of(instance, installation.registry(), *sockets, [&](flowd_level level, std::string_view line) {
            if (level >= FLOWD_LEVEL_WARNING) output.err << name << ": " << printable(line) << '\n';
        });
        if (planned)
            planners.push_back({name, instance.component->precedence, *std::move(planned)});
        else
            unknown.push_back(name);
    }
    PlanReport report(installation.registry());
    for (std::size_t i = 0; i < sockets->size(); ++i)
        if ((*sockets)[i].state != TCP_LISTEN) report.add((*sockets)[i], outlook_of(planners, i));
    output.answer(report.json(options.conf, planners, unknown));
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
