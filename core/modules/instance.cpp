// SPDX-License-Identifier: Apache-2.0
#include "core/modules/instance.hpp"

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/modules/outcome.hpp"
#include "flowd/counted.hpp"

namespace flowd::core {

Problem problem_of(const InstanceConfig& config, flowd_result result, std::string message) {
    Problem problem;
    problem.result = result < 0 ? result : static_cast<flowd_result>(FLOWD_ERROR);
    problem.category = Problem::Category::system;
    problem.where = config.where;
    problem.path = config.written_path;
    problem.message = std::move(message);
    return problem;
}

std::string_view to_string(InstanceState state) {
    switch (state) {
        case InstanceState::configured:
            return "configured";
        case InstanceState::creating:
            return "creating";
        case InstanceState::preparing:
            return "preparing";
        case InstanceState::prepared:
            return "prepared";
        case InstanceState::starting:
            return "starting";
        case InstanceState::running:
            return "running";
        case InstanceState::stopping:
            return "stopping";
        case InstanceState::stopped:
            return "stopped";
        case InstanceState::failed:
            return "failed";
        case InstanceState::abandoned:
            return "abandoned";
    }
    return "?";
}

Instance::Instance(std::shared_ptr<const InstanceConfig> config, Services services, std::function<void()> changed)
    : kind_(config->kind),
      key_(config->key),
      name_(std::string(kind_name(kind_)) + " " + key_),
      services_(services),
      changed_(std::move(changed)),
      component_(*config->component),
      since_ns_(unix_ns()),
      config_(std::move(config)) {}

Instance::~Instance() {
    if (!finished()) request_stop(Clock::now(), FLOWD_STOP_REMOVED);
    thread_.reset();
    detach();
    if (state_metric_) services_.metrics.remove(state_metric_);
}

InstanceStatus Instance::status() const {
    InstanceStatus status;
    status.state = state();
    status.since_ns = since_ns_;
    status.errors = errors_;
    status.exceptions = exceptions_;
    status.bad_results = bad_results_;
    status.batches = batches_;
    status.batches_failed = batches_failed_;
    status.events_lost = events_lost_ + (host_ != nullptr ? host_->lost() : 0);
    status.periods_missed = periods_missed_;
    // An instance with its own loop is in run() all the time: this is not reported as a call.
    const char* call = in_call_.load(std::memory_order_acquire);
    if (call != nullptr && std::string_view(call) != "run") {
        status.in_call = call;
        status.in_call_ns = std::max<std::int64_t>(0, steady_ns() - in_call_since_);
    }
    const std::lock_guard lock(mutex_);
    status.last_error = last_error_;
    status.last_error_ns = last_error_ns_;
    return status;
}

std::vector<Problem> Instance::problems() const {
    const std::lock_guard lock(mutex_);
    return problems_;
}

void Instance::launch() {
    auto loop = Loop::create();
    if (!loop) {
        record_problem(problem_of(*config(), loop.error().code, loop.error().message));
        return set_state(InstanceState::failed);
    }
    loop_ = std::move(*loop);
    loop_->set_work([this] { return work(); });
    host_ = std::make_shared<Host>(
        services_, key_, name_, kind_, *loop_,
        Host::Behind{[this](const flowd_problem& reported) { report(reported); }, [this] { return dispatch(); },
                     [this](const char* what, const std::function<void()>& call) {
                         (void)guarded(what, [&]() -> flowd_result {
                             call();
                             return FLOWD_OK;
                         });
                     }});
    finished_ = false;
    auto thread = Thread::start(key_, [this] { run_thread(); });
    if (!thread) {
        finished_ = true;
        record_problem(problem_of(*config(), thread.error().code, thread.error().message));
        return set_state(InstanceState::failed);
    }
    thread_ = std::move(*thread);
}

Result<void> Instance::attach(const QueueLimits& limits, Instance* predecessor) {
    Loop* loop = loop_.get();
    if (kind_ == FLOWD_PLUGIN) {
        AnnouncerOptions options{key_, component_.precedence, 0,
                                 [this, loop] {
                                     room_.store(true, std::memory_order_release);
                                     loop->wake();
                                 },
                                 [this, loop](std::size_t count) {
                                     marks_passed_ += count;
                                     loop->wake();
                                 }};
        if (predecessor != nullptr && predecessor->announcer_) {
            if (auto replaced = services_.bus.replace_announcer(*predecessor->announcer_, std::move(options)); !replaced)
                return replaced;
            announcer_ = std::exchange(predecessor->announcer_, std::nullopt);
        } else {
            auto added = services_.bus.add_announcer(std::move(options));
            if (!added) return std::move(added).error();
            announcer_ = *added;
        }
        host_->set_announcer(*announcer_);
    } else if (kind_ == FLOWD_BACKEND) {
        BackendOptions options{key_, component_.accepts, limits, [loop] { loop->wake(); }};
        // A new instance has no flows of its predecessor, so the bus sends it all live flows again.
        auto queue = predecessor != nullptr && predecessor->queue_ != nullptr && !predecessor->queue_left_
                         ? services_.bus.replace_backend(predecessor->queue_, std::move(options))
                         : services_.bus.add_backend(std::move(options));
        if (!queue) return std::move(queue).error();
        if (predecessor != nullptr) predecessor->leave_queue();
        queue_ = std::move(*queue);
        host_->set_queue(queue_);
    }
    return {};
}

void Instance::start() {
    {
        const std::lock_guard lock(mutex_);
        start_wanted_ = true;
    }
    wanted_.notify_all();
}

void Instance::request_stop(Clock::time_point deadline, std::uint32_t reason) {
    const std::int64_t at = std::max<std::int64_t>(1, std::chrono::nanoseconds(deadline.time_since_epoch()).count());
    {
        const std::lock_guard lock(mutex_);
        const std::int64_t present = stop_at_;
        if (present == 0) stop_reason_ = reason;
        stop_at_ = present == 0 ? at : std::min(present, at);
    }
    wanted_.notify_all();
    if (loop_ != nullptr) loop_->wake();
}

void Instance::refuse(Problem problem, Clock::time_point deadline) {
    record_problem(std::move(problem));
    broken_ = true;
    request_stop(deadline, FLOWD_STOP_FAILED);
}

void Instance::abandon() {
    const std::string where = whereabouts();
    record_error("does not return" + (where.empty() ? std::string(" from run") : " from " + where) + ": abandoned");
    host_->stop();
    if (queue_ != nullptr) {
        if (const std::size_t waiting = queue_->depth(); waiting > 0) {
            events_lost_ += waiting;
            record_error(name_ + " did not take " + counted(waiting, "event"));
        }
        if (queue_left_) services_.bus.remove_backend(queue_);
    }
    services_.shared.release(host_->id());
    set_state(InstanceState::abandoned);
}

std::string Instance::whereabouts() const {
    const InstanceStatus now = status();
    return now.in_call.empty() ? now.in_call : now.in_call + " after " + std::to_string(now.in_call_ns / 1'000'000) + " ms";
}

void Instance::detach() {
    if (announcer_) services_.bus.remove_announcer(*announcer_);
    announcer_.reset();
    if (queue_ != nullptr && !queue_left_) services_.bus.remove_backend(queue_);
    leave_queue();
}

void Instance::leave_queue() {
    queue_left_ = true;
    // If the thread hangs, it may still read the events that it took.
    if (finished()) queue_.reset();
}

bool Instance::run_job(Job job) {
    if (state() != InstanceState::running) return false;
    return loop_->post([this, job = std::move(job)] { job(live_ ? module_ : nullptr); });
}

void Instance::reconfigure(std::shared_ptr<const InstanceConfig> config, const Reconfigured& done) {
    if (component_.reconfigure == nullptr) return done(FLOWD_UNSUPPORTED, {});
    const bool posted = run_job([this, config, done](flowd_instance* module) {
        if (module == nullptr) return done(FLOWD_STOPPED, {});
        {
            const std::lock_guard lock(mutex_);
            tried_ = config;
            tried_error_.clear();
        }
        const flowd_result result =
            guarded("reconfigure", [&] { return component_.reconfigure(module, &config->value()); });
        std::string why;
        {
            const std::lock_guard lock(mutex_);
            tried_.reset();
            why = std::move(tried_error_);
        }
        if (result == FLOWD_OK) {
            relocate(config);
        } else if (result != FLOWD_UNSUPPORTED && why.empty()) {
            why =
                name_ + ": " + (result == FLOWD_EXCEPTION ? status().last_error : describe_failure("reconfigure", result));
            if (result != FLOWD_EXCEPTION) record_error(describe_failure("reconfigure", result));
        }
        done(result, why);
    });
    if (!posted) done(FLOWD_STOPPED, {});
}

void Instance::relocate(std::shared_ptr<const InstanceConfig> config) {
    const std::lock_guard lock(mutex_);
    config_.swap(config);
}

std::shared_ptr<const InstanceConfig> Instance::config() const {
    const std::lock_guard lock(mutex_);
    return config_;
}

bool Instance::sample(std::shared_ptr<OpenPeriod> open) {
    if (sampling_.exchange(true)) {
        ++periods_missed_;
        return false;
    }
    open->enter();
    const bool posted = run_job([this, open](flowd_instance* module) {
        struct Adding {
            OpenPeriod& open;
            std::string_view source;
        } adding{*open, component_.name};
        flowd_samples samples{};
        samples.size = sizeof samples;
        samples.context = &adding;
        samples.add = [](const flowd_samples* self, const flowd_sample* sample) -> flowd_result {
            const auto& to = *static_cast<const Adding*>(self->context);
            return sample == nullptr ? static_cast<flowd_result>(FLOWD_INVALID) : to.open.add(to.source, sample);
        };
        const auto call = [&](std::span<const flowd_flow> flows, std::int32_t last) {
            const flowd_result result = guarded("sample", [&] {
                return component_.sample(module, flows.data(), flows.size(), sizeof(flowd_flow), last, &samples);
            });
            if (result != FLOWD_OK) record_error(describe_failure("sample", result));
            return result == FLOWD_OK && !broken_;
        };
        if (module != nullptr) {
            bool well = true;
            services_.bus.visit([&](std::span<const flowd_flow> flows) { return well = call(flows, 0); });
            if (well) (void)call({}, 1);
        }
        sampling_ = false;
        open->leave();
    });
    if (!posted) {
        sampling_ = false;
        open->leave();
    }
    return posted;
}

std::shared_ptr<const Offered> Instance::offered() const {
    const std::lock_guard lock(mutex_);
    return offered_;
}

bool Instance::responds() {
    const bool answered = pongs_ == pings_;
    if (answered && state() == InstanceState::running) {
        ++pings_;
        if (!run_job([this](flowd_instance*) { ++pongs_; })) ++pongs_;
    }
    return answered || state() != InstanceState::running;
}

}  // namespace flowd::core
