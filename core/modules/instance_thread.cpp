// SPDX-License-Identifier: Apache-2.0
// What happens on the instance's own thread: every call into the module, and what becomes of its answers.
#include <algorithm>
#include <exception>
#include <utility>

#include "core/flows/clock.hpp"
#include "core/modules/instance.hpp"
#include "core/modules/outcome.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr int batches_per_round = 8;  // then timers and descriptors get their turn

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
        record_error(result < 0 ? describe_failure("run", result) : "run came back although nobody had asked to stop");
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
    std::size_t taken = 0;
    const flowd_result result = guarded("on_events", [&] {
        return component_.on_events(module_, events.data(), events.size(), sizeof(flowd_event), &taken);
    });
    ++batches_;
    if (result != FLOWD_OK) {
        ++batches_failed_;
        record_error(describe_failure("on_events", result));
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
    if (deadline == 0)
        deadline = steady_ns() + std::chrono::nanoseconds(std::chrono::seconds(1)).count();  // it failed by itself
    const flowd_result result = guarded("stop", [&] { return component_.stop(module_, deadline, FLOWD_STOP_REMOVED); });
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
            offered->take(copy_sized<flowd_ext_command>(table));
        if (const void* table = component_.extension(module_, FLOWD_EXT_FINDINGS))
            offered->findings = copy_sized<flowd_ext_findings>(table).instance;
        if (const void* table = component_.extension(module_, FLOWD_EXT_EXPLAIN))
            offered->explain = copy_sized<flowd_ext_explain>(table).explain;
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
    show_state(state);
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
    (logger != nullptr ? *logger : host_->logger()).log(level, problem.to_string());
    const std::lock_guard lock(mutex_);
    if (problem.level == FLOWD_LEVEL_ERROR) {
        last_error_ = problem.message;
        last_error_ns_ = unix_ns();
    }
    problems_.push_back(std::move(problem));
}

}  // namespace flowd::core
