// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/life.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <thread>

namespace flowd::check {

std::string result_name(flowd_result result) {
    static constexpr const char* below[] = {"FLOWD_OK",        "FLOWD_ERROR",     "FLOWD_INVALID", "FLOWD_UNSUPPORTED",
                                            "FLOWD_NOT_FOUND", "FLOWD_DENIED",    "FLOWD_BUSY",    "FLOWD_LIMIT",
                                            "FLOWD_EXCEPTION", "FLOWD_NO_MEMORY", "FLOWD_FULL",    "FLOWD_STOPPED"};
    if (result <= FLOWD_OK && result >= FLOWD_STOPPED) return below[-result];
    return std::to_string(result) + (result > FLOWD_OK ? ", which is not a result of this ABI" : "");
}

Life::Life(const flowd_component& component, const flowd_value& config, ProbeHost& host, Progress& progress)
    : component_(component), config_(config), host_(host), progress_(progress) {
    host_.bind_thread();
}

Life::~Life() {
    if (instance_ == nullptr) return;
    (void)stop();
    destroy();
}

flowd_result Life::guarded(const char* call, const std::function<flowd_result()>& work) {
    progress_.enter(call);
    flowd_result result = FLOWD_EXCEPTION;
    try {
        result = work();
        if (result > FLOWD_OK)  // an unknown negative one is a failure as others are
            host_.breach(fmt::format("{} returned {}", call, result_name(result)));
    } catch (const std::exception& exception) {
        host_.breach(fmt::format("an exception came out of {}: {}", call, exception.what()));
    } catch (...) {
        host_.breach(fmt::format("an exception came out of {}", call));
    }
    progress_.enter({});
    return result;
}

flowd_result Life::create() {
    host_.set_phase(Phase::created);
    const flowd_result result = guarded("create", [&] { return component_.create(host_.offered(), &config_, &instance_); });
    if (result == FLOWD_OK && instance_ == nullptr) host_.breach("create returned FLOWD_OK without an instance");
    if (result < 0 && instance_ != nullptr) host_.breach("create failed, yet left an instance");
    return result;
}

flowd_result Life::prepare() {
    if (component_.prepare == nullptr) return FLOWD_OK;
    return guarded("prepare", [&] { return component_.prepare(instance_); });
}

flowd_result Life::start() {
    host_.set_phase(Phase::started);
    return guarded("start", [&] { return component_.start(instance_); });
}

bool Life::up() {
    using Step = flowd_result (Life::*)();
    static constexpr std::pair<const char*, Step> steps[] = {
        {"create", &Life::create}, {"prepare", &Life::prepare}, {"start", &Life::start}};
    for (const auto& [name, step] : steps) {
        failure_ = (this->*step)();
        if (failure_ == FLOWD_OK && instance_ != nullptr) continue;
        failed_call_ = name;
        return false;
    }
    return true;
}

std::string Life::down() const {
    std::string text = fmt::format("{} returned {}", failed_call_, result_name(failure_));
    for (const Problem& problem : host_.problems()) return fmt::format("{}: {}", text, problem.message);
    return text;
}

bool Life::unexplained() const {
    for (const Problem& problem : host_.problems())
        if (problem.level == FLOWD_LEVEL_ERROR) return false;
    return true;
}

void Life::live(std::vector<std::function<void()>> jobs, std::chrono::milliseconds linger,
                const std::function<bool()>& done) {
    constexpr std::chrono::seconds most(2);
    const auto is_done = [&] { return !done || done(); };
    for (auto& job : jobs) host_.at_dispatch(std::move(job));
    const bool own_loop = component_.loop == FLOWD_LOOP_OWN;
    bool over = false;
    host_.at_dispatch([&] {
        flowd_timer timer = 0;
        host_.raw()->timer(
            host_.raw(), std::chrono::nanoseconds(linger).count(), 0, [](void* flag) { *static_cast<bool*>(flag) = true; },
            &over, &timer);
    });
    if (!own_loop) {
        (void)host_.run_until([&] { return over; });
        (void)host_.run_until(is_done, most);
        (void)stop();
        return;
    }
    // The wish to stop comes from another thread, as it does from the core.
    host_.on_stop([this] { (void)stop(); });
    std::thread core([&] {
        std::this_thread::sleep_for(linger);
        for (auto end = std::chrono::steady_clock::now() + most; !is_done() && std::chrono::steady_clock::now() < end;)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        host_.request_stop();
    });
    const flowd_result result = guarded("run", [&] { return component_.run(instance_); });
    if (host_.phase() < Phase::stopped)
        host_.breach(fmt::format("run returned ({}) before stop was called", result_name(result)));
    core.join();
}

flowd_result Life::stop(std::chrono::nanoseconds grace) {
    const auto now = std::chrono::steady_clock::now;  // CLOCK_MONOTONIC
    const auto deadline = now() + grace;
    const std::int64_t deadline_ns = std::chrono::nanoseconds(deadline.time_since_epoch()).count();
    const flowd_result result = guarded("stop", [&] { return component_.stop(instance_, deadline_ns, reason_); });
    // Half a second more may be the scheduler's.
    if (now() > std::max(deadline, {}) + std::chrono::milliseconds(500) && grace > grace.zero())
        host_.breach("stop returned after its deadline");
    host_.set_phase(Phase::stopped);
    return result;
}

void Life::destroy() {
    (void)guarded("destroy", [&] {
        component_.destroy(std::exchange(instance_, nullptr));
        return FLOWD_OK;
    });
    host_.set_phase(Phase::destroyed);
}

flowd_result Life::on_events(const flowd_event* events, std::size_t count, std::size_t stride, std::size_t& taken) {
    taken = 0;
    const flowd_result result =
        guarded("on_events", [&] { return component_.on_events(instance_, events, count, stride, &taken); });
    if (result == FLOWD_OK) taken = count;
    if (taken > count) host_.breach(fmt::format("on_events says that it took {} of {} events", taken, count));
    taken = std::min(taken, count);
    return result;
}

flowd_result Life::sample(const flowd_flow* flows, std::size_t count, std::size_t stride, bool last,
                          const flowd_samples* samples) {
    return guarded("sample", [&] { return component_.sample(instance_, flows, count, stride, last ? 1 : 0, samples); });
}

void Life::on_room() {
    if (component_.on_room == nullptr) return;
    (void)guarded("on_room", [&] {
        component_.on_room(instance_);
        return FLOWD_OK;
    });
}

flowd_result Life::reconfigure(const flowd_value& config) {
    if (component_.reconfigure == nullptr) return FLOWD_UNSUPPORTED;
    return guarded("reconfigure", [&] { return component_.reconfigure(instance_, &config); });
}

const void* Life::extension(const char* id) {
    const void* answer = nullptr;
    if (component_.extension == nullptr) return answer;
    (void)guarded("extension", [&] {
        answer = component_.extension(instance_, id);
        return FLOWD_OK;
    });
    return answer;
}

Outcome with_life(Subject& subject, const std::function<Outcome(Life&, ProbeHost&)>& work, const Oddity& oddity) {
    auto config = subject.config();
    if (!config) return without_config(config.error());
    const core::InstanceConfig& instance = **config;
    ProbeHost host(instance.kind, oddity);
    for (const auto& [id, experiment] : subject.registry().experiments()) {
        host.add_experiment(id, experiment.name);
        for (const auto& [activity, name] : experiment.activities) host.add_activity(id, activity, name);
    }
    Outcome outcome = Outcome::fail("the check did not end");
    std::thread thread([&] {
        Life life(*instance.component, instance.value(), host, subject.progress());
        outcome = work(life, host);
    });
    thread.join();
    const auto breaches = host.breaches();
    if (!breaches.empty()) return Outcome::fail(fmt::format("{}", fmt::join(breaches, "; ")));
    return outcome;
}

}  // namespace flowd::check
