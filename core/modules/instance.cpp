// SPDX-License-Identifier: Apache-2.0
#include "core/modules/instance.hpp"

#include <algorithm>
#include <exception>

#include "core/flows/clock.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

using std::chrono::nanoseconds;

constexpr int batches_per_round = 8;  // then timers and descriptors get their turn

bool means_something(flowd_result result) {
    return result >= FLOWD_NO_MEMORY && result <= FLOWD_FULL;
}

std::string_view words_of(flowd_result result) {
    switch (result) {
        case FLOWD_OK:
            return "it succeeded";
        case FLOWD_STOPPED:
            return "it was stopped";
        case FLOWD_FULL:
            return "it was full";
        case FLOWD_INVALID:
            return "an invalid value";
        case FLOWD_UNSUPPORTED:
            return "not supported here";
        case FLOWD_NOT_FOUND:
            return "something does not exist";
        case FLOWD_DENIED:
            return "a privilege is missing";
        case FLOWD_BUSY:
            return "something is in use by somebody else";
        case FLOWD_LIMIT:
            return "a limit was reached";
        case FLOWD_EXCEPTION:
            return "an exception in the module";
        case FLOWD_NO_MEMORY:
            return "out of memory";
        default:
            return "an unspecified failure";
    }
}

std::string describe(const char* call, flowd_result result) {
    std::string text = std::string(call) + " failed: ";
    if (means_something(result)) return text.append(words_of(result));
    return text + "it answered " + std::to_string(result) + ", which means nothing";
}

}  // namespace

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
    if (!finished()) request_stop(Clock::now());
    thread_.reset();
    detach();
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
    status.periods_missed = periods_missed_;
    // An own loop is inside run() all its life: that tells nothing.
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
        AnnouncerOptions options{key_, component_.precedence, 0, [this, loop] {
                                     room_.store(true, std::memory_order_release);
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
        // A new instance knows nothing of the flows that its predecessor was told, so it is told them again.
        auto queue = predecessor != nullptr && predecessor->queue_ != nullptr && !predecessor->queue_left_
                         ? services_.bus.replace_backend(predecessor->queue_, std::move(options), false)
                         : services_.bus.add_backend(std::move(options));
        if (!queue) return std::move(queue).error();
        if (predecessor != nullptr) predecessor->leave_queue();
        queue_ = std::move(*queue);
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

void Instance::request_stop(Clock::time_point deadline) {
    const std::int64_t at = std::max<std::int64_t>(1, nanoseconds(deadline.time_since_epoch()).count());
    {
        const std::lock_guard lock(mutex_);
        const std::int64_t present = stop_at_;
        stop_at_ = present == 0 ? at : std::min(present, at);
    }
    wanted_.notify_all();
    if (loop_ != nullptr) loop_->wake();
}

void Instance::refuse(Problem problem, Clock::time_point deadline) {
    record_problem(std::move(problem));
    broken_ = true;
    request_stop(deadline);
}

void Instance::abandon() {
    const std::string where = whereabouts();
    record_error("does not come back" + (where.empty() ? std::string(" from run") : " from " + where) + ": abandoned");
    host_->stop();
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
    // The thread of one that hangs may still look at what it took.
    if (finished()) queue_.reset();
}

bool Instance::run_job(Job job) {
    if (state() != InstanceState::running) return false;
    return loop_->post([this, job = std::move(job)] { job(live_ ? module_ : nullptr); });
}

void Instance::reconfigure(std::shared_ptr<const InstanceConfig> config, std::function<void(flowd_result)> done) {
    if (component_.reconfigure == nullptr) return done(FLOWD_UNSUPPORTED);
    const bool posted = run_job([this, config, done](flowd_instance* module) {
        if (module == nullptr) return done(FLOWD_STOPPED);
        const flowd_result result =
            guarded("reconfigure", [&] { return component_.reconfigure(module, &config->value()); });
        if (result == FLOWD_OK)
            relocate(config);
        else if (result != FLOWD_UNSUPPORTED)
            record_error(describe("reconfigure", result));
        done(result);
    });
    if (!posted) done(FLOWD_STOPPED);
}

void Instance::relocate(std::shared_ptr<const InstanceConfig> config) {
    const std::lock_guard lock(mutex_);
    config_.swap(config);
}

std::shared_ptr<const InstanceConfig> Instance::config() const {
    const std::lock_guard lock(mutex_);
    return config_;
}

bool Instance::sample(std::shared_ptr<SampleGate> gate) {
    if (sampling_.exchange(true)) {
        ++periods_missed_;
        return false;
    }
    gate->enter();
    const bool posted = run_job([this, gate](flowd_instance* module) {
        struct Adding {
            SampleGate& gate;
            std::string_view source;
        } adding{*gate, component_.name};
        flowd_samples samples{};
        samples.size = sizeof samples;
        samples.context = &adding;
        samples.add = [](const flowd_samples* self, const flowd_sample* sample) -> flowd_result {
            const auto& to = *static_cast<const Adding*>(self->context);
            return sample == nullptr ? static_cast<flowd_result>(FLOWD_INVALID) : to.gate.add(to.source, sample);
        };
        const auto call = [&](std::span<const flowd_flow> flows, std::int32_t last) {
            const flowd_result result = guarded("sample", [&] {
                return component_.sample(module, flows.data(), flows.size(), sizeof(flowd_flow), last, &samples);
            });
            if (result != FLOWD_OK) record_error(describe("sample", result));
            return result == FLOWD_OK && !broken_;
        };
        if (module != nullptr) {
            bool well = true;
            services_.bus.visit([&](std::span<const flowd_flow> flows) { return well = call(flows, 0); });
            if (well) (void)call({}, 1);
        }
        sampling_ = false;
        gate->leave();
    });
    if (!posted) {
        sampling_ = false;
        gate->leave();
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

// ---- on the instance's thread ----

flowd_result Instance::guarded(const char* what, const std::function<flowd_result()>& call) {
    const char* outer = in_call_.load(std::memory_order_relaxed);
    const std::int64_t outer_since = in_call_since_;
    in_call_since_ = steady_ns();
    in_call_.store(what, std::memory_order_release);
    flowd_result result = FLOWD_EXCEPTION;
    std::string escaped;
    try {
        result = call();
    } catch (const std::exception& exception) {
        escaped = exception.what();
        if (escaped.empty()) escaped = "without a text";
    } catch (...) {
        escaped = "of an unknown type";
    }
    in_call_since_ = outer_since;
    in_call_.store(outer, std::memory_order_release);

    if (!escaped.empty()) {
        ++exceptions_;
        record_error(std::string(what) + " let a C++ exception out of the module: " + escaped);
        if (!broken_.exchange(true)) host_->logger().critical("taken out of service");
        loop_->wake();
        return FLOWD_EXCEPTION;
    }
    if (!means_something(result)) {
        ++bad_results_;
        return FLOWD_ERROR;
    }
    if (result < 0) ++errors_;
    return result;
}

void Instance::run_thread() {
    host_->bind_thread();
    const flowd_host* host = host_->abi();
    const std::shared_ptr<const InstanceConfig> config = this->config();
    bool well =
        step(InstanceState::creating, "create", [&] { return component_.create(host, &config->value(), &module_); });
    if (!well) module_ = nullptr;  // what a failing create left there is nobody's
    if (well && module_ == nullptr) {
        record_problem(problem_of(*config, FLOWD_ERROR, "create answered success without an instance"));
        well = false;
    }
    if (well && component_.prepare != nullptr)
        well = step(InstanceState::preparing, "prepare", [&] { return component_.prepare(module_); });
    if (well) {
        set_state(InstanceState::prepared);
        if (wait_for_start()) {
            live_ = true;
            well = step(InstanceState::starting, "start", [&] { return component_.start(module_); });
            if (well) {
                started_ = true;
                read_extensions();
                set_state(InstanceState::running);
                live();
            }
        }
    }
    const bool failed = !well || broken_;
    if (state() != InstanceState::abandoned) set_state(InstanceState::stopping);
    tear_down();
    set_state(failed || broken_ ? InstanceState::failed : InstanceState::stopped);
    finished_ = true;
    changed_();
}

bool Instance::step(InstanceState next, const char* what, const std::function<flowd_result()>& call) {
    set_state(next);
    const std::uint64_t bad_before = bad_results_, exceptions_before = exceptions_;
    flowd_result raw = FLOWD_OK;
    const flowd_result result = guarded(what, [&] { return raw = call(); });
    if (result == FLOWD_OK && !broken_) return true;
    const flowd_result told = bad_results_ != bad_before ? raw : result;
    bool explained = false;
    std::string message = describe(what, told);
    {
        const std::lock_guard lock(mutex_);
        if (exceptions_ != exceptions_before) message = last_error_;
        explained =
            std::any_of(problems_.begin(), problems_.end(), [](const Problem& p) { return p.level == FLOWD_LEVEL_ERROR; });
    }
    if (!explained) record_problem(problem_of(*config(), result, std::move(message)));
    return false;
}

bool Instance::wait_for_start() {
    std::unique_lock lock(mutex_);
    wanted_.wait(lock, [this] { return start_wanted_ || stop_requested(); });
    return !stop_requested();
}

void Instance::live() {
    if (component_.loop == FLOWD_LOOP_OWN) {
        const flowd_result result = guarded("run", [&] { return component_.run(module_); });
        if (stop_requested() || broken_) return;
        record_error(result < 0 ? describe("run", result) : "run came back although nobody had asked to stop");
        broken_ = true;
        return;
    }
    while (!stop_requested() && !broken_) loop_->wait();
}

bool Instance::work() {
    if (!live_) return false;
    if (room_.exchange(false, std::memory_order_acq_rel) && component_.on_room != nullptr)
        (void)guarded("on_room", [&]() -> flowd_result {
            component_.on_room(module_);
            return FLOWD_OK;
        });
    for (int i = 0; i < batches_per_round; ++i)
        if (broken_ || stop_requested() || !take_batch()) return false;
    return true;
}

bool Instance::take_batch() {
    if (queue_ == nullptr) return false;
    const std::span<const flowd_event> events = queue_->take();
    if (events.empty()) return false;
    const flowd_result result = guarded(
        "on_events", [&] { return component_.on_events(module_, events.data(), events.size(), sizeof(flowd_event)); });
    ++batches_;
    if (result != FLOWD_OK) {
        ++batches_failed_;
        record_error(describe("on_events", result));
    }
    return !broken_;
}

void Instance::take_what_waits() {
    if (queue_ == nullptr) return;
    // A quarter of the time is left for the module to flush what it took.
    const std::int64_t now = steady_ns();
    const std::int64_t until = stop_at_ - (stop_at_ - now) / 4;
    while (!broken_ && steady_ns() < std::min<std::int64_t>(until, stop_at_))
        if (!take_batch()) return;
    if (const std::size_t left = queue_->depth(); left > 0)
        record_error(std::to_string(left) + " events were not taken before the deadline and are lost");
}

flowd_result Instance::dispatch() {
    if (component_.loop != FLOWD_LOOP_OWN) return FLOWD_UNSUPPORTED;
    if (stop_called_) return FLOWD_STOPPED;
    if (!stop_requested() && !broken_ && !loop_->dispatch()) return FLOWD_INVALID;
    if (!stop_requested() && !broken_) return FLOWD_OK;
    if (state() != InstanceState::abandoned) set_state(InstanceState::stopping);
    stop_module();
    return FLOWD_STOPPED;
}

void Instance::stop_module() {
    if (stop_called_) return;
    if (started_ && !broken_) take_what_waits();
    stop_called_ = true;
    std::int64_t deadline = stop_at_;
    if (deadline == 0) deadline = steady_ns() + nanoseconds(std::chrono::seconds(1)).count();  // it failed by itself
    const flowd_result result = guarded("stop", [&] { return component_.stop(module_, deadline); });
    if (result != FLOWD_OK) record_error(describe("stop", result));
}

void Instance::tear_down() {
    if (module_ != nullptr) {
        stop_module();
        live_ = false;
        host_->stop();
        (void)guarded("destroy", [&]() -> flowd_result {
            component_.destroy(module_);
            return FLOWD_OK;
        });
        module_ = nullptr;
    }
    host_->retire();
    loop_->close();
}

void Instance::read_extensions() {
    if (component_.extension == nullptr) return;
    auto offered = std::make_shared<Offered>();
    (void)guarded("extension", [&]() -> flowd_result {
        if (const void* table = component_.extension(module_, FLOWD_EXT_STATUS))
            offered->status = copy_sized<flowd_ext_status>(table).status;
        if (const void* table = component_.extension(module_, FLOWD_EXT_COMMAND))
            offered->take(copy_sized<flowd_ext_command>(table));
        return FLOWD_OK;
    });
    const std::lock_guard lock(mutex_);
    offered_ = std::move(offered);
}

void Offered::take(const flowd_ext_command& table) {
    constexpr std::size_t most = 100;
    if (table.commands == nullptr || table.command_stride < sizeof(std::uint32_t)) return;
    run = table.run;
    const auto text = [](const char* given) { return std::string(given == nullptr ? "" : given); };
    for (const flowd_command& command :
         SizedRange<flowd_command>(table.commands, std::min(table.command_count, most), table.command_stride))
        if (command.name != nullptr)
            commands.push_back({command.name, text(command.arguments), text(command.summary),
                                (command.flags & FLOWD_COMMAND_CHANGES) != 0});
}

void Instance::set_state(InstanceState state) {
    state_.store(state, std::memory_order_release);
    since_ns_ = unix_ns();
    changed_();
}

void Instance::report(const flowd_problem& reported) {
    const bool live = state() == InstanceState::running || state() == InstanceState::stopping;
    Problem problem = config()->locate(reported);
    if (live && problem.level == FLOWD_LEVEL_ERROR)
        record_error(problem.message);
    else
        record_problem(std::move(problem));
}

void Instance::record_error(std::string_view text) {
    flowd_string line{text.data(), text.size()};
    host_->abi()->log(host_->abi(), FLOWD_LEVEL_ERROR, line);
    const std::lock_guard lock(mutex_);
    last_error_ = text;
    last_error_ns_ = unix_ns();
}

void Instance::record_problem(Problem problem) {
    const auto level = problem.level == FLOWD_LEVEL_WARNING ? spdlog::level::warn : spdlog::level::err;
    const auto logger = host_ != nullptr ? nullptr : services_.logging.logger(key_);
    (logger != nullptr ? *logger : host_->logger()).log(level, problem.to_string());
    const std::lock_guard lock(mutex_);
    if (problem.level == FLOWD_LEVEL_ERROR) {
        last_error_ = problem.message;
        last_error_ns_ = unix_ns();
    }
    problems_.push_back(std::move(problem));
}

}  // namespace flowd::core
