// SPDX-License-Identifier: Apache-2.0
// Supervisor::reload: all new instances are created and prepared while the old ones run; then the old ones are stopped.
#include <algorithm>
#include <atomic>

#include "core/service/supervisor.hpp"

namespace flowd::core {

using Way = ReloadPlan::Way;

namespace {

constexpr std::uint32_t backends = 1U << FLOWD_BACKEND;
constexpr std::uint32_t sources = (1U << FLOWD_PLUGIN) | (1U << FLOWD_ENRICHER);

std::string first_error(const Instance& instance) {
    for (const Problem& problem : instance.problems())
        if (problem.level == FLOWD_LEVEL_ERROR) return problem.to_string();
    return instance.name() + " failed";
}

}  // namespace

Supervisor::ReloadOutcome Supervisor::reload(std::vector<InstanceConfig> configs) {
    ReloadOutcome outcome;
    ReloadPlan plan = plan_reload(instances_, std::move(configs));
    if (!prepare_change(plan, outcome) || !try_reconfigure(plan, outcome)) {
        roll_back(plan);
        outcome.ok = false;
        return outcome;
    }

    // From here on the reload is not rolled back. New backends are attached before new plugins announce. Events of a
    // removed plugin are still sent to removed backends.
    switch_over(plan, backends, outcome);
    switch_over(plan, sources, outcome);
    Instances leaving_sources, leaving_backends;
    for (Instance* old : plan.removed) (old->kind() == FLOWD_BACKEND ? leaving_backends : leaving_sources).push_back(old);
    wait_stopped(leaving_sources, settings_.stop_timeout, FLOWD_STOP_REMOVED);
    for (Instance* old : leaving_sources) detach(*old);
    wait_stopped(leaving_backends, settings_.stop_timeout, FLOWD_STOP_REMOVED);
    for (Instance* old : leaving_backends) detach(*old);
    outcome.removed = plan.removed.size();

    std::vector<std::unique_ptr<Instance>> next, before = std::move(instances_);
    for (ReloadPlan::Change& change : plan.changes) {
        if (change.fresh != nullptr) {
            next.push_back(std::move(change.fresh));
            continue;
        }
        const auto old = std::find_if(before.begin(), before.end(), [&](const auto& i) { return i.get() == change.old; });
        next.push_back(std::move(*old));
        if (change.way == Way::keep) {
            next.back()->relocate(change.config);
            ++outcome.kept;
        }
    }
    instances_ = std::move(next);
    for (auto& instance : before) dispose(std::move(instance));
    reap();
    warn_if_useless();
    return outcome;
}

bool Supervisor::prepare_change(ReloadPlan& plan, ReloadOutcome& outcome) {
    // Before any successor asks for descriptors: a new instance may use a port of any old one.
    for (const Instance* old : plan.removed) make_way(*old);
    for (const ReloadPlan::Change& change : plan.changes)
        if (change.way == Way::replace) make_way(*change.old);
    Instances launched;
    for (ReloadPlan::Change& change : plan.changes) {
        const bool launch = change.way == Way::add || change.way == Way::replace;
        if (!launch || change.fresh != nullptr) continue;
        change.fresh = make(change.config);
        change.fresh->launch();
        launched.push_back(change.fresh.get());
    }
    (void)wait_prepared(launched);
    for (const ReloadPlan::Change& change : plan.changes) {
        if (change.fresh == nullptr || change.fresh->state() == InstanceState::prepared) continue;
        // A new optional instance that fails is kept as failed; but a running instance is not replaced by a failed one.
        const bool old_runs = change.old != nullptr && change.old->state() == InstanceState::running;
        if (!change.config->required && !old_runs) continue;
        outcome.error = first_error(*change.fresh);
        outcome.code = code_of(*change.fresh);
        return false;
    }
    return true;
}

bool Supervisor::try_reconfigure(ReloadPlan& plan, ReloadOutcome& outcome) {
    bool to_launch = false;
    for (ReloadPlan::Change& change : plan.changes) {
        if (change.way != Way::reconfigure) continue;
        // Shared with the instance's thread, which may answer after the wait has ended.
        struct Answer {
            std::string why;
            std::atomic<flowd_result> result{INT32_MAX};
        };
        auto answer = std::make_shared<Answer>();
        change.old->reconfigure(change.config,
                                [answer, wake = surroundings_.changed](flowd_result result, const std::string& why) {
                                    answer->why = why;
                                    answer->result = result;
                                    wake();
                                });
        (void)surroundings_.wait([&] { return answer->result != INT32_MAX || change.old->finished(); },
                                 Clock::now() + settings_.start_timeout, WaitFor::start);
        const flowd_result result = answer->result;
        if (result == FLOWD_OK) {
            ++outcome.reconfigured;
        } else if (result == FLOWD_UNSUPPORTED || result == FLOWD_STOPPED) {
            change.way = Way::replace;
            to_launch = true;
        } else {
            // A late instance may still accept the new values: roll_back reconfigures it to the old ones afterwards.
            if (result != INT32_MAX) change.way = Way::keep;
            outcome.error = result == INT32_MAX ? change.old->name() + ": did not return from reconfigure" : answer->why;
            outcome.code = result == INT32_MAX ? ExitCode::failure : exit_code_of(result);
            return false;
        }
    }
    return !to_launch || prepare_change(plan, outcome);
}

void Supervisor::make_way(const Instance& old) {
    if (const auto host = old.host()) surroundings_.services.descriptors.make_way(host->id());
}

void Supervisor::roll_back(ReloadPlan& plan) {
    Instances fresh;
    for (ReloadPlan::Change& change : plan.changes) {
        if (change.fresh != nullptr) fresh.push_back(change.fresh.get());
        if (change.way != Way::reconfigure) continue;
        change.old->reconfigure(change.previous, [this, name = change.old->name()](flowd_result result, const auto&) {
            if (result != FLOWD_OK) surroundings_.logger.error("{}: did not accept its previous configuration again", name);
        });
    }
    wait_stopped(fresh, settings_.stop_timeout, FLOWD_STOP_FAILED);
    for (ReloadPlan::Change& change : plan.changes) dispose(std::move(change.fresh));
    for (const auto& instance : instances_)
        if (const auto host = instance->host()) surroundings_.services.descriptors.stay(host->id());
}

void Supervisor::switch_over(ReloadPlan& plan, std::uint32_t kinds, ReloadOutcome& outcome) {
    // A backend's successor gets its queue before the old one stops, so that each event reaches one of the two. A plugin's
    // successor replaces it after the last event of the old one.
    std::vector<ReloadPlan::Change*> changes;
    Instances leaving;
    for (ReloadPlan::Change& change : plan.changes) {
        if ((kinds & (1U << change.config->kind)) == 0 || change.fresh == nullptr) continue;
        changes.push_back(&change);
        if (change.way == Way::replace) leaving.push_back(change.old);
        if (change.config->kind == FLOWD_BACKEND) attach(*change.fresh, change.old);
    }
    wait_stopped(leaving, settings_.stop_timeout, FLOWD_STOP_REPLACED);
    for (ReloadPlan::Change* change : changes) {
        if (change->config->kind != FLOWD_BACKEND) attach(*change->fresh, change->old);
        ++(change->way == Way::add ? outcome.added : outcome.replaced);
        if (!bring_up(*change->fresh)) restore(*change, outcome);
    }
}

void Supervisor::restore(ReloadPlan::Change& change, ReloadOutcome& outcome) {
    if (change.config->required || change.old != nullptr) {
        outcome.ok = false;
        if (outcome.error.empty()) {
            outcome.error = first_error(*change.fresh);
            outcome.code = code_of(*change.fresh);
        }
    }
    if (change.old == nullptr) return;
    make_way(*change.fresh);
    auto again = make(change.previous);
    again->launch();
    (void)wait_prepared({again.get()});
    wait_stopped({change.fresh.get()}, settings_.stop_timeout, FLOWD_STOP_FAILED);
    attach(*again, change.fresh->on_bus() ? change.fresh.get() : change.old);
    const bool up = bring_up(*again);
    surroundings_.logger.error(
        "{}: {}", again->name(),
        up ? "runs again with its old configuration" : "its old configuration does not start any more");
    dispose(std::exchange(change.fresh, std::move(again)));
}

}  // namespace flowd::core
