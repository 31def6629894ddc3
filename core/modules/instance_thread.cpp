// SPDX-License-Identifier: Apache-2.0
// The instance's thread: all calls into the module, and the handling of their results.
#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "core/base/clock.hpp"
#include "core/modules/instance.hpp"
#include "core/modules/outcome.hpp"
#include "flowd/counted.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr int batches_per_round = 8;  // so that timers and descriptors are not delayed
constexpr int marks_per_round = 1024;

}  // namespace

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
    if (!well) module_ = nullptr;  // the value that a failed create stored is ignored
    if (well && module_ == nullptr) {
        record_problem(problem_of(*config, FLOWD_ERROR, "create returned FLOWD_OK without an instance"));
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
    if (state() != InstanceState::abandoned && state() != InstanceState::stopping) set_state(InstanceState::stopping);
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
    std::string message = describe_failure(what, told);
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
        record_error(result < 0 ? describe_failure("run", result) : "run returned although no stop was requested");
        broken_ = true;
        return;
    }
    while (!stop_requested() && !broken_) loop_->wait();
    if (state() != InstanceState::abandoned) set_state(InstanceState::stopping);
    while (!drained()) loop_->wait();
}

bool Instance::work() {
    if (!live_) return false;
    if (room_.exchange(false, std::memory_order_acq_rel) && component_.on_room != nullptr)
        (void)guarded("on_room", [&]() -> flowd_result {
            component_.on_room(module_);
            return FLOWD_OK;
        });
    const auto ends = [this] { return broken_ || stop_requested(); };
    for (int i = 0; i < marks_per_round && marks_passed_ > 0 && !ends(); ++i) {
        --marks_passed_;
        host_->call_mark();
    }
    for (int i = 0; i < batches_per_round; ++i)
        if (ends() || !take_batch()) return marks_passed_ > 0 && !ends();
    return true;
}

bool Instance::take_batch() {
    if (queue_ == nullptr) return false;
    if (full_ && !host_->take_ready()) return false;
    full_ = false;
    host_->hold(false);
    std::span<const flowd_event> events = queue_->take();
    if (events.empty()) return false;
    while (!events.empty() && !full_ && !broken_) events = events.subspan(offer(events));
    return !broken_;
}

/// Returns the number of settled events.
std::size_t Instance::offer(std::span<const flowd_event> events) {
    std::size_t taken = 0;
    bool full = false;
    (void)host_->take_ready();
    flowd_result result = guarded("on_events", [&]() -> flowd_result {
        const flowd_result answer =
            component_.on_events(module_, events.data(), events.size(), sizeof(flowd_event), &taken);
        full = answer == FLOWD_FULL;
        return full ? static_cast<flowd_result>(FLOWD_OK) : answer;
    });
    ++batches_;
    if (result == FLOWD_OK && !full) {
        queue_->settle(Fate::taken, events.size());
        return events.size();
    }
    if (taken > events.size() || (result == FLOWD_INVALID && taken == events.size())) {
        ++bad_results_;
        record_error("on_events returned that it took " + std::to_string(taken) + " of " + std::to_string(events.size()) +
                     " events, which is not possible");
        if (taken > events.size()) taken = 0;
        full = false;
        result = FLOWD_ERROR;
    }
    queue_->settle(Fate::taken, taken);
    if (full) {
        queue_->hold();
        full_ = true;
        host_->hold(true);
        return taken;
    }
    ++batches_failed_;
    record_error(describe_failure("on_events", result));
    if (result == FLOWD_INVALID) {
        queue_->settle(Fate::refused, 1);
        return taken + 1;
    }
    queue_->settle(Fate::failed, events.size() - taken);
    return events.size();
}

/// Offers queued events until a quarter of the time is left, in which the module can flush. False: the backend is full, and
/// its loop must run until it calls ready.
bool Instance::drained() {
    if (queue_ == nullptr || !started_ || stop_called_) return true;
    for (;;) {
        const std::int64_t now = steady_ns(), stop_at = stop_at_;
        if (drain_until_ == 0) drain_until_ = std::max<std::int64_t>(1, stop_at - (stop_at - now) / 4);
        const std::int64_t until = std::min(drain_until_, stop_at);
        if (broken_ || now >= until) return true;
        if (take_batch()) continue;
        if (!full_ && queue_->depth() > 0) {  // events of a call of emit that has not returned yet
            std::this_thread::yield();
            continue;
        }
        if (!full_) return true;
        if (drain_timer_ == 0) drain_timer_ = loop_->timer(std::chrono::nanoseconds(until - now), {}, [] {});
        return false;
    }
}

void Instance::count_lost(const Remains& remains) {
    const std::uint64_t total = remains.total();
    if (total == 0) return;
    events_lost_ += total;
    const std::uint64_t starts = remains.events[FLOWD_EVENT_START], ends = remains.events[FLOWD_EVENT_END];
    const std::string line = name_ + " did not take " + counted(total, "event") + ": " + counted(starts, "start") + ", " +
                             counted(ends, "end") + ", " + counted(total - starts - ends, "other");
    // The error that caused the loss remains the last error.
    if (broken_)
        host_->logger().error("{}", line);
    else
        record_error(line);
}

flowd_result Instance::dispatch() {
    if (component_.loop != FLOWD_LOOP_OWN) return FLOWD_UNSUPPORTED;
    if (stop_called_) return FLOWD_STOPPED;
    if (!broken_ && !loop_->dispatch()) return FLOWD_INVALID;
    if (!stop_requested() && !broken_) return FLOWD_OK;
    if (state() != InstanceState::abandoned && state() != InstanceState::stopping) set_state(InstanceState::stopping);
    if (!drained()) return FLOWD_OK;
    stop_module();
    return FLOWD_STOPPED;
}

void Instance::stop_module() {
    if (stop_called_) return;
    stop_called_ = true;
    if (queue_ != nullptr) count_lost(queue_->close());
    std::int64_t deadline = stop_at_;
    if (deadline == 0)
        deadline = steady_ns() + std::chrono::nanoseconds(std::chrono::seconds(1)).count();  // no stop was requested
    std::uint32_t reason = stop_reason_;
    if (reason == 0 || broken_) reason = FLOWD_STOP_FAILED;
    const flowd_result result = guarded("stop", [&] { return component_.stop(module_, deadline, reason); });
    if (result != FLOWD_OK) record_error(describe_failure("stop", result));
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
            for (const std::string& name : offered->take(copy_sized<flowd_ext_command>(table)))
                record_error("the command '" + name + "' is not offered: it has flags that this core does not know");
        if (const void* table = component_.extension(module_, FLOWD_EXT_FINDINGS))
            offered->findings = copy_sized<flowd_ext_findings>(table).instance;
        if (const void* table = component_.extension(module_, FLOWD_EXT_EXPLAIN))
            offered->explain = copy_sized<flowd_ext_explain>(table).explain;
        return FLOWD_OK;
    });
    const std::lock_guard lock(mutex_);
    offered_ = std::move(offered);
}

std::vector<std::string> Offered::take(const flowd_ext_command& table) {
    constexpr std::size_t most = 100;
    std::vector<std::string> refused;
    if (table.commands == nullptr || table.command_stride < sizeof(std::uint32_t)) return refused;
    run = table.run;
    const auto text = [](const char* given) { return std::string(given == nullptr ? "" : given); };
    for (const flowd_command& command :
         SizedRange<flowd_command>(table.commands, std::min(table.command_count, most), table.command_stride)) {
        if (command.name == nullptr) continue;
        if ((command.flags & ~std::uint32_t{FLOWD_COMMAND_CHANGES}) != 0)
            refused.emplace_back(command.name);
        else
            commands.push_back({command.name, text(command.arguments), text(command.summary),
                                (command.flags & FLOWD_COMMAND_CHANGES) != 0});
    }
    return refused;
}

void Instance::set_state(InstanceState state) {
    // The series first: a thread that waits for the state then finds it in the metrics.
    show_state(state);
    since_ns_ = unix_ns();
    state_.store(state, std::memory_order_release);
    changed_();
}

void Instance::show_state(InstanceState state) {
    auto shown = services_.metrics.open({.type = MetricType::gauge,
                                         .name = "instance_state",
                                         .help = "1, with the state of an instance.",
                                         .labels = {{"flowd_instance", name_}, {"state", std::string(to_string(state))}}});
    if (!shown) return;
    (*shown)->set(1);
    const std::lock_guard lock(mutex_);
    if (const auto before = std::exchange(state_metric_, std::move(*shown))) services_.metrics.remove(before);
}

void Instance::report(const flowd_problem& reported) {
    const bool live = state() == InstanceState::running || state() == InstanceState::stopping;
    std::unique_lock lock(mutex_);
    const auto tried = tried_;
    lock.unlock();
    Problem problem = (tried ? tried : config())->locate(reported);
    if (!live) return record_problem(std::move(problem));
    const std::string text = problem.to_string();
    if (problem.level != FLOWD_LEVEL_ERROR)
        return host_->abi()->log(host_->abi(), problem.level, {text.data(), text.size()});
    record_error(problem.message, text);
    lock.lock();
    if (tried_ && tried_error_.empty()) tried_error_ = text;
}

void Instance::record_error(std::string_view text) {
    record_error(text, text);
}

void Instance::record_error(std::string_view text, std::string_view logged) {
    host_->abi()->log(host_->abi(), FLOWD_LEVEL_ERROR, {logged.data(), logged.size()});
    const std::lock_guard lock(mutex_);
    last_error_ = text;
    last_error_ns_ = unix_ns();
}

void Instance::record_problem(Problem problem) {
    const auto level = problem.level == FLOWD_LEVEL_WARNING ? spdlog::level::warn : spdlog::level::err;
    const auto logger = host_ != nullptr ? nullptr : services_.logging.logger(key_);
    (logger != nullptr ? *logger : host_->logger()).log(level, problem.log_text());
    const std::lock_guard lock(mutex_);
    if (problem.level == FLOWD_LEVEL_ERROR) {
        last_error_ = problem.message;
        last_error_ns_ = unix_ns();
    }
    problems_.push_back(std::move(problem));
}

}  // namespace flowd::core
