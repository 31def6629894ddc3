// SPDX-License-Identifier: Apache-2.0
#include "core/service/supervisor.hpp"

#include <algorithm>

#include "core/service/problem_exit.hpp"

namespace flowd::core {

namespace {

constexpr std::chrono::milliseconds grace{250};  // for an instance to return from stop after its deadline

bool is_up_to(const Instance& instance, InstanceState wanted) {
    return instance.state() == wanted;
}
bool has_failed(const Instance& instance) {
    return instance.state() == InstanceState::abandoned ||
           (instance.finished() && instance.state() != InstanceState::configured);
}

std::vector<Instance*> select(const std::vector<std::unique_ptr<Instance>>& instances, bool backends) {
    std::vector<Instance*> chosen;
    for (const auto& instance : instances)
        if ((instance->kind() == FLOWD_BACKEND) == backends) chosen.push_back(instance.get());
    return chosen;
}

std::string seconds_text(std::chrono::nanoseconds duration) {
    return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

}  // namespace

Supervisor::Supervisor(Surroundings surroundings, Settings settings)
    : surroundings_(std::move(surroundings)), settings_(settings) {}

Supervisor::~Supervisor() = default;

std::unique_ptr<Instance> Supervisor::make(std::shared_ptr<const InstanceConfig> config) {
    return std::make_unique<Instance>(std::move(config), surroundings_.services, surroundings_.changed);
}

ExitCode Supervisor::start(std::vector<InstanceConfig> configs) {
    for (InstanceConfig& config : configs) {
        instances_.push_back(make(std::make_shared<const InstanceConfig>(std::move(config))));
        instances_.back()->launch();
    }
    Instances all;
    for (const auto& instance : instances_) all.push_back(instance.get());

    // Backends first, so that events of plugins have recipients.
    const bool well = wait_prepared(all) && bring_up(select(instances_, true)) && bring_up(select(instances_, false));
    if (well) {
        warn_if_useless();
        return ExitCode::ok;
    }
    ExitCode code = ExitCode::failure;
    for (const Instance* instance : all) {
        if (!instance->config()->required || !has_failed(*instance)) continue;
        code = code_of(*instance);
        break;
    }
    stop(false, FLOWD_STOP_FAILED);
    return must_exit_hard() ? ExitCode::abandoned : code;
}

bool Supervisor::wait_prepared(const Instances& instances) {
    const auto ready = [&] {
        return std::all_of(instances.begin(), instances.end(),
                           [](const Instance* i) { return is_up_to(*i, InstanceState::prepared) || has_failed(*i); });
    };
    const Clock::time_point deadline = Clock::now() + settings_.start_timeout;
    if (!surroundings_.wait(ready, deadline, WaitFor::start) && Clock::now() >= deadline) give_up_on_late(instances);
    return std::none_of(instances.begin(), instances.end(),
                        [](const Instance* i) { return i->config()->required && !is_up_to(*i, InstanceState::prepared); });
}

bool Supervisor::wait_running(const Instances& instances) {
    const auto ready = [&] {
        return std::all_of(instances.begin(), instances.end(),
                           [](const Instance* i) { return is_up_to(*i, InstanceState::running) || has_failed(*i); });
    };
    const Clock::time_point deadline = Clock::now() + settings_.start_timeout;
    if (!surroundings_.wait(ready, deadline, WaitFor::start) && Clock::now() >= deadline) give_up_on_late(instances);
    return std::none_of(instances.begin(), instances.end(),
                        [](const Instance* i) { return i->config()->required && !is_up_to(*i, InstanceState::running); });
}

void Supervisor::give_up_on_late(const Instances& instances) {
    for (Instance* instance : instances) {
        const InstanceState state = instance->state();
        if (state != InstanceState::creating && state != InstanceState::preparing && state != InstanceState::starting)
            continue;
        instance->record_problem(problem_of(*instance->config(), FLOWD_ERROR,
                                            fmt::format("did not return from {} within {}", instance->whereabouts(),
                                                        seconds_text(settings_.start_timeout))));
        instance->request_stop(Clock::now(), FLOWD_STOP_FAILED);
        instance->abandon();
        detach(*instance);  // its queue is no longer emptied and would delay all plugins
    }
}

bool Supervisor::bring_up(const Instances& instances) {
    Instances started;
    for (Instance* instance : instances) {
        if (!is_up_to(*instance, InstanceState::prepared)) continue;
        attach(*instance, nullptr);
        instance->start();
        started.push_back(instance);
    }
    const bool well = wait_running(started);
    reap();
    return well;
}

bool Supervisor::bring_up(Instance& instance) {
    if (!is_up_to(instance, InstanceState::prepared)) return false;
    instance.start();
    (void)wait_running({&instance});
    return is_up_to(instance, InstanceState::running);
}

void Supervisor::attach(Instance& instance, Instance* predecessor) {
    if (!is_up_to(instance, InstanceState::prepared)) return;
    Result<void> attached;
    surroundings_.aside([&] { attached = instance.attach(settings_.queues, predecessor); });
    if (attached) return;
    instance.refuse(problem_of(*instance.config(), attached.error().code, attached.error().message),
                    Clock::now() + settings_.stop_timeout);
}

void Supervisor::detach(Instance& instance) {
    if (instance.on_bus())
        surroundings_.aside([&] { instance.detach(); });
    else
        instance.detach();
}

void Supervisor::wait_stopped(const Instances& instances, std::chrono::nanoseconds timeout, std::uint32_t reason) {
    const Clock::time_point deadline = Clock::now() + timeout;
    for (Instance* instance : instances) instance->request_stop(deadline, reason);
    const auto done = [&] {
        return std::all_of(instances.begin(), instances.end(), [](const Instance* i) { return i->finished(); });
    };
    if (!surroundings_.wait(done, deadline + grace, WaitFor::stop)) {
        for (Instance* instance : instances)
            if (!instance->finished() && instance->state() != InstanceState::abandoned) instance->abandon();
    }
}

void Supervisor::stop(bool hurry, std::uint32_t reason) {
    const auto timeout = hurry ? std::chrono::nanoseconds::zero() : settings_.stop_timeout;
    const Instances sources = select(instances_, false);
    wait_stopped(sources, timeout, reason);
    // Ends the flows of the plugins while the backends can still send these events.
    for (Instance* source : sources) detach(*source);
    wait_stopped(select(instances_, true), timeout, reason);
}

void Supervisor::reap() {
    for (const auto& instance : instances_)
        if (instance->finished() && instance->state() == InstanceState::failed) detach(*instance);
}

void Supervisor::dispose(std::unique_ptr<Instance> instance) {
    if (instance == nullptr) return;
    if (!instance->finished()) {
        detach(*instance);
        abandoned_.push_back(std::move(instance));
        return;
    }
    lost_before_ += instance->status().events_lost;
    if (auto host = instance->host()) hosts_.push_back(std::move(host));
    // A thread that a module has left running, against the contract, may call its host a while after destroy.
    constexpr std::size_t most = 64;
    const auto is_over = [](const auto& host) { return !host->awaits_answers(); };
    while (hosts_.size() > most) {
        const auto oldest = std::find_if(hosts_.begin(), hosts_.end(), is_over);
        if (oldest == hosts_.end()) break;
        hosts_.erase(oldest);
    }
}

Instance* Supervisor::find(std::string_view name) const {
    Instance* found = nullptr;
    for (const auto& instance : instances_) {
        if (instance->name() == name || kind_name(instance->kind()) + (":" + instance->key()) == name)
            return instance.get();
        if (instance->key() != name) continue;
        if (found != nullptr) return nullptr;
        found = instance.get();
    }
    return found;
}

std::uint64_t Supervisor::events_lost() const {
    std::uint64_t lost = lost_before_;
    for (const auto& instance : instances_) lost += instance->status().events_lost;
    return lost;
}

bool Supervisor::must_exit_hard() const {
    const auto hangs = [](const auto& instance) { return !instance->finished(); };
    return std::any_of(instances_.begin(), instances_.end(), hangs) ||
           std::any_of(abandoned_.begin(), abandoned_.end(), hangs);
}

ExitCode Supervisor::code_of(const Instance& instance) {
    for (const Problem& problem : instance.problems()) {
        if (problem.level == FLOWD_LEVEL_ERROR) return exit_code_of(problem);
    }
    return ExitCode::failure;
}

void Supervisor::warn_if_useless() const {
    const auto runs = [&](auto&& suffices) {
        return std::any_of(instances_.begin(), instances_.end(), [&](const auto& instance) {
            return instance->state() == InstanceState::running && suffices(*instance);
        });
    };
    const auto is_plugin = [](const Instance& one) { return one.kind() == FLOWD_PLUGIN; };
    const auto sends = [](const Instance& one) { return one.kind() == FLOWD_BACKEND || one.config()->relays; };
    if (!runs(is_plugin)) surroundings_.logger.warn("no plugin runs: nothing will be announced");
    if (!runs(sends)) surroundings_.logger.warn("no backend runs: nothing will be marked or sent");
}

}  // namespace flowd::core
