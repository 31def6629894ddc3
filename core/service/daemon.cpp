// SPDX-License-Identifier: Apache-2.0
#include "core/service/daemon.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>

#include "core/base/clock.hpp"
#include "core/base/log_limiter.hpp"
#include "core/base/version.hpp"
#include "core/base/worker.hpp"
#include "core/config/configuration.hpp"
#include "core/control/server.hpp"
#include "core/flows/minutes.hpp"
#include "core/service/bus_metrics.hpp"
#include "core/service/control_commands.hpp"
#include "core/service/installation.hpp"
#include "core/service/minutes_file.hpp"
#include "core/service/notify.hpp"
#include "core/service/pid_file.hpp"
#include "core/service/problem_exit.hpp"
#include "core/service/sampling.hpp"
#include "core/service/signals.hpp"
#include "core/service/supervisor.hpp"
#include "flowd/counted.hpp"

namespace flowd::core {

namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds worker_patience{1000};
constexpr std::int64_t minute_ns = 60'000'000'000;

// Delay and interval of the query of all instances' findings, for metrics and `status`.
constexpr std::chrono::seconds first_look{10}, look_period{60};

FlowLimits flow_limits(const Globals& globals) {
    FlowLimits limits;
    limits.max_live = globals.flows.max_live;
    limits.max_per_instance = globals.flows.max_per_instance;
    limits.max_per_sender = globals.flows.max_per_source;
    limits.idle_timeout_ns = globals.flows.idle_timeout.count();
    limits.max_age_ns = globals.flows.max_age.count();
    limits.tombstone_ns = globals.flows.tombstone.count();
    limits.history = globals.flows.history;
    return limits;
}

Supervisor::Settings settings_of(const Globals& globals) {
    Supervisor::Settings settings;
    settings.stop_timeout = globals.stop_timeout;
    settings.queues.events = globals.queues.events;
    settings.queues.bytes = globals.queues.attachment_bytes;
    settings.queues.stall_after_ns = globals.queues.stall_after.count();
    return settings;
}

flowd_result result_of(ExitCode code) {
    if (code == ExitCode::ok) return FLOWD_OK;
    if (code == ExitCode::usage) return FLOWD_INVALID;
    return code == ExitCode::denied ? FLOWD_DENIED : FLOWD_ERROR;
}

}  // namespace

class Daemon::Implementation {
  public:
    explicit Implementation(DaemonOptions options)
        : options_(std::move(options)),
          logging_(options_.log),
          logger_(logging_.logger("")),
          installation_(install_paths(), options_.modules),
          descriptors_(DescriptorStore::Observer{[this](const std::string& name, int fd) { notifier_.store(name, fd); },
                                                 [this](const std::string& name) {
                                                     // The service manager keeps these for the next daemon.
                                                     if (!stopping_) notifier_.forget(name);
                                                 }}) {}
    Implementation(const Implementation&) = delete;
    Implementation& operator=(const Implementation&) = delete;
    ~Implementation() = default;

    ExitCode run();

  private:
    [[nodiscard]] Result<void> set_up_loop();
    [[nodiscard]] Installation::Loading loading() const;
    [[nodiscard]] Result<void> set_up();
    [[nodiscard]] std::optional<LoadedConfiguration> load();
    void log(const Problems& problems);
    [[nodiscard]] Result<void> open_control();
    [[nodiscard]] bool ask(const Requests::Words& words, const Requests::Answered& answered);
    void apply(const Globals& globals);
    void on_signal();
    [[nodiscard]] bool wait(const Supervisor::Condition& condition, SteadyClock::time_point deadline,
                            Supervisor::WaitFor what);
    void main_loop();
    void tick_bus();
    void tick_bus_after(std::int64_t next);
    void run_aside(const std::function<void()>& job);
    void load_minutes();
    void save_minutes();
    void flush_notifications();
    void feed_watchdog();
    void reload();
    /// Without an error, the new configuration is in force.
    struct Reloaded {
        std::string error = {};
        ExitCode code = ExitCode::ok;
    };
    [[nodiscard]] Reloaded do_reload();
    void count_load(bool is_good);
    ExitCode shut_down(ExitCode code);
    [[nodiscard]] bool is_idle(Worker& worker, SteadyClock::time_point until);
    ExitCode end_hard();
    [[nodiscard]] std::string summary() const;
    void defer(std::chrono::milliseconds delay, std::function<void()> callback);

    const DaemonOptions options_;
    Logging logging_;
    std::shared_ptr<spdlog::logger> logger_;
    Notifier notifier_;
    LogLimiter log_limiter_;
    LogLimiter log_limiter_minutes_;  // of the worker
    std::atomic<bool> stopping_{false};

    // Used by instances; outlives the supervisor, and so all hosts.
    Installation installation_;
    Registries registries_;
    Metrics metrics_;
    DescriptorStore descriptors_;
    SharedDescriptors shared_;
    Interfaces interfaces_;
    OwnSockets sockets_;
    Refusals refusals_;
    Requests requests_;
    FindingsBoard findings_;
    SenderIds senders_;
    Directories directories_;
    UnregisteredTags unregistered_tags_;
    std::unique_ptr<Bus> bus_;
    std::unique_ptr<MinutesFile> minutes_file_;  // used by the worker
    std::int64_t minute_ = 0;                    // that is summed now

    std::optional<Signals> signals_;
    std::unique_ptr<Loop> loop_;
    // Declared after the loop, which their jobs wake.
    std::unique_ptr<Worker> worker_;   // configurations, long replies
    std::unique_ptr<Worker> upkeep_;   // timeouts of the flow table, the kernel's sockets, samples
    std::unique_ptr<Worker> members_;  // adds and removes members of the bus; the main thread runs its loop meanwhile
    std::optional<PidFile> pid_file_;
    std::unique_ptr<Supervisor> supervisor_;
    std::unique_ptr<Sampling> sampling_;
    std::unique_ptr<OwnFindings> own_findings_;
    std::unique_ptr<ControlCommands> commands_;
    std::unique_ptr<control::Server> server_;
    Loop::Id server_watch_ = 0;

    Globals globals_;
    DaemonStatus status_;
    int stop_signals_ = 0;
    bool starting_ = true;
    bool reload_wanted_ = false;
    bool notifications_wait_ = false;
    std::vector<control::Responder> reload_waiters_;
};

Daemon::Daemon(DaemonOptions options) : implementation_(std::make_unique<Implementation>(std::move(options))) {}
Daemon::~Daemon() = default;
ExitCode Daemon::run() {
    return implementation_->run();
}

ExitCode Daemon::Implementation::run() {
    status_.state = "starting";
    status_.config = options_.conf;
    status_.started_ns = unix_ns();
    status_.started_steady_ns = steady_ns();
    // Before everything else: from now on an early SIGHUP is queued and does not end the process.
    auto signals = Signals::block();
    if (!signals) {
        logger_->error("{}", signals.error().message);
        return ExitCode::failure;
    }
    signals_.emplace(std::move(*signals));
    if (auto ready = set_up_loop(); !ready) {
        logger_->error("{}", ready.error().message);
        return ExitCode::failure;
    }
    auto read = load();
    if (!read) return shut_down(ExitCode::ok);
    LoadedConfiguration& loaded = *read;
    log(installation_.warnings());
    log(loaded.problems);
    registries_.use(installation_.registry());
    if (!loaded.configuration) return exit_code_of(loaded.problems);
    globals_ = loaded.configuration->globals;
    if (auto ready = set_up(); !ready) {
        logger_->error("{}", ready.error().message);
        if (!ready.error().hint.empty()) logger_->error("hint: {}", ready.error().hint);
        return exit_code_of(ready.error().code);
    }
    own_findings_->set_in_force(std::move(loaded.configuration->files),
                                findings_of(loaded.problems));  // commands are accepted during the start

    const ExitCode started = supervisor_->start(std::move(loaded.configuration->instances));
    starting_ = false;
    if (started != ExitCode::ok) return shut_down(stop_signals_ > 0 ? ExitCode::ok : started);
    apply(globals_);
    count_load(true);
    status_.state = "running";
    logger_->info("flowd-cpp {} runs: {}", version(), summary());
    notifier_.ready(summary());
    main_loop();
    return shut_down(ExitCode::ok);
}

/// Log lines of modules in validate() go to the daemon's log.
Installation::Loading Daemon::Implementation::loading() const {
    return {false, [this](std::string_view instance, flowd_level level, std::string_view line) {
                logging_.logger(std::string(instance))->log(to_spdlog(level), "{}", line);
            }};
}

void Daemon::Implementation::log(const Problems& problems) {
    for (const Problem& problem : problems)
        logger_->log(problem.level == FLOWD_LEVEL_WARNING ? spdlog::level::warn : spdlog::level::err, problem.log_text());
}

Result<void> Daemon::Implementation::set_up_loop() {
    auto loop = Loop::create();
    if (!loop) return std::move(loop).error();
    loop_ = std::move(*loop);
    for (const auto& [place, name] : {std::pair(&worker_, "worker"), {&upkeep_, "upkeep"}, {&members_, "members"}}) {
        auto worker = Worker::start(name);
        if (!worker) return std::move(worker).error();
        *place = std::move(*worker);
    }
    if (auto watched = loop_->watch(signals_->fd(), FLOWD_IO_READ, [this](int, std::uint32_t) { on_signal(); }); !watched)
        return std::move(watched).error();
    return {};
}

/// Not on the main thread: reading files may block, and a module's validate() may query a directory service.
/// Empty: a stop was requested before the end.
std::optional<LoadedConfiguration> Daemon::Implementation::load() {
    struct Job {
        std::optional<LoadedConfiguration> loaded;
        std::atomic<bool> done{false};
    };
    const auto job = std::make_shared<Job>();
    worker_->post([this, job] {
        job->loaded.emplace(installation_.load(options_.conf, loading()));
        job->done = true;
        loop_->wake();
    });
    (void)wait([&] { return job->done || stop_signals_ > 0; }, SteadyClock::time_point::max(), Supervisor::WaitFor::start);
    if (!job->done) return std::nullopt;
    return std::move(job->loaded);
}

Result<void> Daemon::Implementation::set_up() {
    if (!globals_.work_dir.empty()) {
        std::error_code error;
        fs::create_directories(globals_.work_dir, error);
        if (error) return Error::from_errno(error.value(), "workDir " + globals_.work_dir);
    }
    if (!globals_.pid_path.empty()) {
        auto pid_file = PidFile::write(globals_.pid_path);
        // Marking works without it, and a full disk is not an error of the configuration.
        if (!pid_file && pid_file.error().code == FLOWD_LIMIT)
            logger_->warn("pidPath: {}: the daemon runs without a pid file", pid_file.error().message);
        else if (!pid_file)
            return std::move(pid_file).error().within("pidPath");
        else
            pid_file_.emplace(std::move(*pid_file));
    }
    directories_ = Directories::from_environment(globals_.work_dir);
    (void)descriptors_.adopt_from_systemd();

    bus_ = std::make_unique<Bus>(flow_limits(globals_), core::Clock::real(), std::make_unique<KernelSocketProbe>());
    interfaces_.on_marks([this](std::uint32_t marks) { bus_->set_marks(marks); });
    metrics_.add_source([this] { return bus_metrics(bus_->counters()); });
    metrics_.add_source([this] { return findings_.metrics(); });
    metrics_.add_source([this] { return unregistered_tags_.metrics(); });
    bus_->minutes().on_count([this](const std::vector<MinuteSum>& sums) {
        if (const auto text = unregistered_tags_.add(sums, registries_.current(), steady_ns())) logger_->warn("{}", *text);
    });
    const Services services{*bus_,     metrics_, descriptors_, shared_,     interfaces_, sockets_, refusals_,
                            findings_, senders_, directories_, registries_, logging_,    requests_};
    supervisor_ = std::make_unique<Supervisor>(
        Supervisor::Surroundings{services, [this] { loop_->wake(); },
                                 [this](const Supervisor::Condition& condition, SteadyClock::time_point deadline,
                                        Supervisor::WaitFor what) { return wait(condition, deadline, what); },
                                 *logger_, [this](const std::function<void()>& job) { run_aside(job); }},
        settings_of(globals_));
    sampling_ = std::make_unique<Sampling>(*bus_, *supervisor_, *loop_,
                                           [this](std::function<void()> job) { upkeep_->post(std::move(job)); });
    own_findings_ = std::make_unique<OwnFindings>(
        OwnFindings::Surroundings{[this] { return bus_->counters(); }, [this] { return files_of_source(options_.conf); },
                                  [this] { return installation_.modules().changed_files(); }, is_clock_synchronised,
                                  steady_ns, [this] { return unregistered_tags_.counts(registries_.current()); }});
    commands_ = std::make_unique<ControlCommands>(ControlCommands::Surroundings{
        *supervisor_, services, [this] { return status_; },
        [this](control::Responder respond) {
            reload_waiters_.push_back(std::move(respond));
            reload_wanted_ = true;
        },
        [this](std::chrono::milliseconds delay, std::function<void()> callback) { defer(delay, std::move(callback)); },
        [this](std::function<void()> job) { worker_->post(std::move(job)); }, *own_findings_});
    if (auto control = open_control(); !control) return control;
    requests_.serve(
        [this](const Requests::Words& words, const Requests::Answered& answered) { return ask(words, answered); });
    tick_bus();
    load_minutes();
    (void)loop_->timer(first_look, look_period, [this] { commands_->look_for_findings(); });
    (void)loop_->timer(std::chrono::seconds(1), std::chrono::seconds(1), [this] {
        flush_notifications();
        const std::int64_t minute = unix_ns() / minute_ns;
        if (std::exchange(minute_, minute) != minute) save_minutes();
    });
    if (const auto interval = Notifier::watchdog_interval())
        (void)loop_->timer(*interval, *interval, [this] { feed_watchdog(); });
    return {};
}

Result<void> Daemon::Implementation::open_control() {
    control::ServerOptions options;
    options.path = options_.control.empty() ? globals_.control.path : options_.control;
    options.group = globals_.control.group;
    if (options.path.empty()) options.path = control::default_path;
    options.log = [this](flowd_level level, const std::string& text) {
        const auto verdict = log_limiter_.judge(text);
        if (!verdict.pass) return;
        if (verdict.suppressed > 0)
            logger_->log(to_spdlog(level), "{} ({} more like this were not shown)", text, verdict.suppressed);
        else
            logger_->log(to_spdlog(level), "{}", text);
    };
    if (const auto metric = metrics_.open({MetricType::counter, "control_connections_not_accepted_total",
                                           "Failed calls of accept(2) at the control socket, because no descriptor was "
                                           "left; the connections wait."}))
        options.not_accepted = [counter = *metric] { counter->add(1); };
    auto server = control::Server::listen(
        options, [this](const control::Arguments& arguments, const control::Peer& peer, control::Responder respond) {
            commands_->handle(arguments, peer, std::move(respond));
        });
    if (!server) return std::move(server).error().within("control socket");
    server_ = std::move(*server);
    auto watched = loop_->watch(server_->fd(), FLOWD_IO_READ, [this](int, std::uint32_t) { server_->dispatch(); });
    if (!watched) return std::move(watched).error();
    server_watch_ = *watched;
    return {};
}

/// For an instance: as a client of the control socket that may only query.
bool Daemon::Implementation::ask(const Requests::Words& words, const Requests::Answered& answered) {
    return loop_->post([this, words, respond = control::Responder::to([answered](const control::Reply& reply) {
                                         answered(result_of(reply.code), reply.json);
                                     })] { commands_->handle(words, control::Peer{}, respond); });
}

void Daemon::Implementation::apply(const Globals& globals) {
    bus_->set_limits(flow_limits(globals));
    const auto settings = settings_of(globals);
    supervisor_->set(settings);
    bus_->set_queue_limits(settings.queues);
    sampling_->set_period(globals.enricher_period);
    globals_ = globals;
}

void Daemon::Implementation::on_signal() {
    while (const auto number = signals_->take()) {
        if (*number == SIGHUP) {
            reload_wanted_ = true;
            continue;
        }
        if (*number != SIGTERM && *number != SIGINT) {
            if (log_limiter_.judge("signal").pass) logger_->info("ignored: signal {} ({})", *number, ::strsignal(*number));
            continue;
        }
        if (++stop_signals_ == 1) {
            logger_->info("stopping: {}", *number == SIGINT ? "interrupted" : "terminated");
        } else {
            logger_->warn("second signal: stopping at once");
        }
    }
}

bool Daemon::Implementation::wait(const Supervisor::Condition& condition, SteadyClock::time_point deadline,
                                  Supervisor::WaitFor what) {
    for (;;) {
        if (condition()) return true;
        const bool hurry = stop_signals_ > 1 || (starting_ && stop_signals_ > 0 && what == Supervisor::WaitFor::start);
        const auto now = SteadyClock::now();
        if (hurry || now >= deadline) return false;
        // Rounded up: a wait of 0 ms would be a busy loop until the deadline.
        const auto left = std::min<SteadyClock::duration>(deadline - now, std::chrono::hours(1));
        loop_->wait(std::chrono::ceil<std::chrono::milliseconds>(left));
    }
}

void Daemon::Implementation::main_loop() {
    std::string told = summary();
    while (stop_signals_ == 0) {
        loop_->wait(std::chrono::milliseconds(reload_wanted_ ? 0 : -1));
        supervisor_->reap();
        if (std::string now = summary(); now != told) {
            told = std::move(now);
            notifier_.status(told);
        }
        sampling_->collect();
        if (reload_wanted_ && stop_signals_ == 0) reload();
    }
}

void Daemon::Implementation::tick_bus() {
    upkeep_->post([this] {
        const std::int64_t next = bus_->tick();
        (void)loop_->post([this, next] { tick_bus_after(next); });
    });
}

void Daemon::Implementation::tick_bus_after(std::int64_t next) {
    const std::int64_t now = std::chrono::nanoseconds(SteadyClock::now().time_since_epoch()).count();
    // At least every second: the next timeout may become earlier if the limits change.
    const auto delay = std::clamp<std::int64_t>(next - now, 10'000'000, 1'000'000'000);
    (void)loop_->timer(std::chrono::nanoseconds(delay), {}, [this] { tick_bus(); });
}

/// The duration grows with the number of flows, but `job` never blocks. So the end is always awaited: its objects must not
/// be destroyed before.
void Daemon::Implementation::run_aside(const std::function<void()>& job) {
    std::atomic<bool> done{false};
    members_->post([this, &job, &done] {
        job();
        done = true;
        loop_->wake();
    });
    while (!done) loop_->wait(std::chrono::hours(1));
}

void Daemon::Implementation::load_minutes() {
    minutes_file_ = std::make_unique<MinutesFile>(directories_.state, bus_->minutes());
    minute_ = unix_ns() / minute_ns;
    worker_->post([this] {
        const auto done = minutes_file_->load(unix_ns());
        if (done) return;
        logger_->warn("{}", done.error().message);
        own_findings_->add_of_start({FLOWD_LEVEL_WARNING, "daemon-history-unreadable", minutes_file_->path().string(),
                                     done.error().message, "the sums of the last 24 hours, kept over restarts",
                                     "none is needed: the sums start at zero; remove the file that was moved aside",
                                     unix_ns()});
    });
}

/// A minute is written when it has ended, and the last one at the stop.
void Daemon::Implementation::save_minutes() {
    worker_->post([this] {
        bus_->collect_sums();
        const auto done = minutes_file_->save();
        if (!done && log_limiter_minutes_.judge("minutes").pass) logger_->warn("{}", done.error().message);
    });
}

void Daemon::Implementation::flush_notifications() {
    const std::size_t waiting = notifier_.flush();
    if (waiting > 0 && !notifications_wait_)
        logger_->warn("the service manager does not read its notifications (NOTIFY_SOCKET): {} wait", waiting);
    notifications_wait_ = waiting > 0;
}

void Daemon::Implementation::feed_watchdog() {
    // A hanging optional instance must not stop the others.
    bool all = true;
    for (const auto& instance : supervisor_->instances())
        if (!instance->responds() && instance->config()->required) {
            logger_->error("{} does not respond: {}", instance->name(), instance->whereabouts());
            all = false;
        }
    if (all) notifier_.alive();
}

void Daemon::Implementation::reload() {
    reload_wanted_ = false;
    std::vector<control::Responder> waiters = std::exchange(reload_waiters_, {});
    status_.state = "reloading";
    notifier_.reloading();
    logger_->info("reloading {}", options_.conf);
    const auto [error, code] = do_reload();
    status_.state = "running";
    status_.last_reload_ns = unix_ns();
    status_.last_reload_error = error;
    ++(error.empty() ? status_.reloads : status_.reloads_failed);
    count_load(error.empty());
    if (!error.empty()) logger_->error("the reload failed: {}", error);
    notifier_.ready(error.empty() ? summary() : "the reload failed, the old configuration is in force: " + error);
    for (const control::Responder& respond : waiters) {
        if (error.empty())
            respond(control::Reply{ExitCode::ok, "{\"reloaded\":true}"});
        else
            respond(control::Reply::failure(code, error, "the old configuration is in force"));
    }
}

Daemon::Implementation::Reloaded Daemon::Implementation::do_reload() {
    auto read = load();
    if (!read) return {"the daemon is stopping", ExitCode::failure};
    LoadedConfiguration& loaded = *read;
    log(loaded.problems);
    if (!loaded.configuration) {
        const Problem* problem = loaded.problems.decisive();
        if (problem == nullptr) return {"the configuration could not be read", ExitCode::failure};
        return {problem->to_string(), exit_code_of(*problem)};
    }
    const Globals& next = loaded.configuration->globals;
    if (next.control != globals_.control || next.pid_path != globals_.pid_path || next.work_dir != globals_.work_dir)
        logger_->warn("control, pidPath and workDir take effect at the next start");
    const Registry& registry_before = registries_.current();
    registries_.use(installation_.registry());
    const auto settings_before = settings_of(globals_);
    supervisor_->set(settings_of(next));
    const auto outcome = supervisor_->reload(std::move(loaded.configuration->instances));
    if (!outcome.ok) {
        registries_.use(registry_before);
        supervisor_->set(settings_before);
        bus_->set_queue_limits(settings_before.queues);  // some backends may have been added with the new limits
        return {outcome.error.empty() ? "an instance failed" : outcome.error,
                outcome.code == ExitCode::ok ? ExitCode::failure : outcome.code};
    }
    apply(next);
    own_findings_->set_in_force(std::move(loaded.configuration->files), findings_of(loaded.problems));
    logger_->info("reloaded: {} kept, {} reconfigured, {} replaced, {} added, {} removed", outcome.kept,
                  outcome.reconfigured, outcome.replaced, outcome.added, outcome.removed);
    return {};
}

/// The start is the first load.
void Daemon::Implementation::count_load(bool is_good) {
    if (auto metric = metrics_.open({MetricType::gauge, "config_last_reload_success",
                                     "Whether the configuration was put into force when it was read last: 1, or 0."}))
        (*metric)->set(is_good ? 1 : 0);
    if (!is_good) return;
    if (auto metric = metrics_.open({MetricType::gauge, "config_last_reload_success_timestamp_seconds",
                                     "When the configuration in force was read, as Unix time.", "seconds"}))
        (*metric)->set(static_cast<double>(unix_ns()) / 1e9);
}

ExitCode Daemon::Implementation::shut_down(ExitCode code) {
    stopping_ = true;
    status_.state = "stopping";
    notifier_.stopping();
    requests_.serve({});
    if (supervisor_ != nullptr) supervisor_->stop(stop_signals_ > 1);
    reload_waiters_.clear();
    if (server_ != nullptr) server_->dismiss(control::Reply::failure(ExitCode::failure, "the daemon is stopping"));
    (void)loop_->unwatch(server_watch_);  // a pending reply keeps the descriptor open
    server_.reset();
    pid_file_.reset();
    if (minutes_file_ != nullptr) save_minutes();
    // A query that a directory service does not answer cannot be interrupted.
    const auto until = SteadyClock::now() + (stop_signals_ > 1 ? worker_patience / 10 : worker_patience);
    if (bus_ != nullptr) bus_->end_upkeep();
    if (!is_idle(*worker_, until)) {
        logger_->error("the configuration is still being read; the daemon ends without waiting for it");
        return end_hard();
    }
    if (!is_idle(*upkeep_, until)) {
        logger_->error(
            "a dump of the kernel's sockets (sock_diag) is still running; the daemon ends without waiting for it");
        return end_hard();
    }
    if (supervisor_ != nullptr && supervisor_->must_exit_hard()) {
        // A thread that hangs in a module uses objects that would now be destroyed, and C++ cannot end it. Everything that
        // can be flushed has been flushed: the process ends here.
        logger_->error("stopped, except for abandoned instances");
        return end_hard();
    }
    if (code == ExitCode::ok && supervisor_ != nullptr && supervisor_->events_lost() > 0) {
        logger_->error("stopped; lost {}: see the lines above", counted(supervisor_->events_lost(), "event"));
        return ExitCode::lost;
    }
    if (code == ExitCode::ok) logger_->info("stopped");
    return code;
}

bool Daemon::Implementation::is_idle(Worker& worker, SteadyClock::time_point until) {
    const auto idle = std::make_shared<std::atomic<bool>>(false);
    worker.post([this, idle] {
        *idle = true;
        loop_->wake();
    });
    while (!*idle && SteadyClock::now() < until)
        loop_->wait(std::chrono::ceil<std::chrono::milliseconds>(until - SteadyClock::now()));
    return *idle;
}

ExitCode Daemon::Implementation::end_hard() {
    options_.exit_now ? options_.exit_now(to_int(ExitCode::abandoned)) : ::_exit(to_int(ExitCode::abandoned));
    return ExitCode::abandoned;
}

std::string Daemon::Implementation::summary() const {
    std::size_t running = 0, failed = 0;
    for (const auto& instance : supervisor_->instances())
        ++(instance->state() == InstanceState::running ? running : failed);
    return failed == 0 ? fmt::format("{} instances", running) : fmt::format("{} instances, {} failed", running, failed);
}

void Daemon::Implementation::defer(std::chrono::milliseconds delay, std::function<void()> callback) {
    (void)loop_->post([this, delay, callback = std::move(callback)] {
        if (delay.count() <= 0) return callback();
        (void)loop_->timer(delay, {}, callback);
    });
}

}  // namespace flowd::core
