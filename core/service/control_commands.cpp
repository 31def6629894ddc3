// SPDX-License-Identifier: Apache-2.0
#include "core/service/control_commands.hpp"

#include <charconv>
#include <mutex>

#include "core/service/status_json.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

using control::Reply;

constexpr std::size_t default_flows = 10'000;
constexpr std::size_t max_flows = 100'000;  // some 25 MB of JSON: replies are bounded
constexpr std::size_t max_answer = 4U << 20;

/// Collects what a module writes.
struct Answer {
    std::string text;
    bool too_long = false;
    flowd_writer writer{};

    Answer() {
        writer.size = sizeof writer;
        writer.context = this;
        writer.write = [](const flowd_writer* self, flowd_string piece) -> flowd_result {
            auto& answer = *static_cast<Answer*>(self->context);
            if (answer.text.size() + piece.length > max_answer) {
                answer.too_long = true;
                return FLOWD_LIMIT;
            }
            answer.text.append(to_view(piece));
            return FLOWD_OK;
        };
    }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
};

/// Gathers what the instances say of themselves; answers when the last copy of it is gone, so that an instance which
/// stops meanwhile holds nothing up, and when it is told that the time is over.
class StatusRound {
  public:
    StatusRound(control::Responder respond, std::function<std::string(const std::map<std::string, std::string>&)> write)
        : respond_(std::move(respond)), write_(std::move(write)) {}
    StatusRound(const StatusRound&) = delete;
    StatusRound& operator=(const StatusRound&) = delete;

    void add(const std::string& instance, std::string json) {
        const std::lock_guard lock(mutex_);
        details_[instance] = std::move(json);
    }
    /// Main thread: the status itself looks at instances.
    void finish() {
        std::map<std::string, std::string> details;
        {
            const std::lock_guard lock(mutex_);
            details = details_;
        }
        respond_(Reply{ExitCode::ok, write_(details)});
    }

  private:
    control::Responder respond_;
    std::function<std::string(const std::map<std::string, std::string>&)> write_;
    std::mutex mutex_;
    std::map<std::string, std::string> details_;
};

}  // namespace

void ControlCommands::handle(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond) {
    const std::string& command = arguments.front();
    if (command == "status") return status(std::move(respond));
    if (command == "flows") return flows(arguments, respond);
    if (command == "metrics" && arguments.size() == 1) return metrics(respond);  // else a backend of that name is meant
    if (command == "commands") return commands(nullptr, respond);
    if (command == "reload") {
        if (!peer.may_change)
            return respond(Reply::failure(ExitCode::denied, "only root and the daemon's own user may reload"));
        return surroundings_.reload(std::move(respond));
    }
    run(arguments, peer, std::move(respond));
}

void ControlCommands::status(control::Responder respond) {
    auto round =
        std::make_shared<StatusRound>(std::move(respond), [this](const std::map<std::string, std::string>& details) {
            return status_json(surroundings_.daemon(), surroundings_.supervisor, surroundings_.services, details);
        });
    // Lives in the jobs; whatever becomes of them, its end wakes the main loop.
    struct Pending {
        std::function<void()> over;
        explicit Pending(std::function<void()> f) : over(std::move(f)) {}
        Pending(const Pending&) = delete;
        Pending& operator=(const Pending&) = delete;
        ~Pending() { over(); }
    };
    auto answered = std::make_shared<std::atomic<bool>>(false);
    const auto finish = [round, answered] {
        if (!answered->exchange(true)) round->finish();
    };
    {
        auto pending = std::make_shared<Pending>(
            [defer = surroundings_.defer, finish] { defer(std::chrono::milliseconds(0), finish); });
        for (const auto& instance : surroundings_.supervisor.instances()) {
            const auto offered = instance->offered();
            if (offered == nullptr || offered->status == nullptr) continue;
            Instance* asked = instance.get();
            // One that hangs is not given more to do by everybody who asks.
            if (asked->status_asked.exchange(true)) continue;
            (void)instance->run_job([asked, name = instance->name(), offered, round, pending](flowd_instance* module) {
                asked->status_asked = false;
                if (module == nullptr) return;
                Answer answer;
                const flowd_result result =
                    asked->guarded("status", [&] { return offered->status(module, &answer.writer); });
                if (result == FLOWD_OK && !answer.too_long && is_json(answer.text))
                    round->add(name, std::move(answer.text));
            });
        }
    }
    // One that is busy is shown without its details rather than holding the answer up.
    surroundings_.defer(std::chrono::milliseconds(1000), finish);
}

void ControlCommands::flows(const control::Arguments& arguments, const control::Responder& respond) {
    std::size_t limit = default_flows;
    if (arguments.size() > 1) {
        const std::string& text = arguments[1];
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
        if (error != std::errc() || end != text.data() + text.size() || limit > max_flows)
            return respond(
                Reply::failure(ExitCode::usage, "flows: \"" + text + "\" is no number up to " + std::to_string(max_flows)));
    }
    surroundings_.aside([services = surroundings_.services, limit, respond] {
        respond(Reply{ExitCode::ok, flows_json(services, limit)});
    });
}

void ControlCommands::metrics(const control::Responder& respond) {
    surroundings_.aside([services = surroundings_.services, respond] {
        respond(Reply{ExitCode::ok, metrics_json(services.metrics.snapshot())});
    });
}

void ControlCommands::commands(const Instance* only, const control::Responder& respond) {
    std::string out;
    json::Writer w(out);
    w.array();
    for (const auto& instance : surroundings_.supervisor.instances()) {
        if (only != nullptr && only != instance.get()) continue;
        const auto offered = instance->offered();
        if (offered == nullptr) continue;
        for (const Offered::Command& command : offered->commands) {
            w.object();
            w.member("instance", instance->key())
                .member("kind", kind_name(instance->kind()))
                .member("command", command.name);
            w.member("arguments", command.arguments).member("summary", command.summary);
            w.member("changes", command.changes);
            w.end();
        }
    }
    w.end();
    respond(Reply{ExitCode::ok, out});
}

void ControlCommands::run(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond) {
    Instance* instance = surroundings_.supervisor.find(arguments[0]);
    if (instance == nullptr) {
        std::string known, meant;
        for (const auto& each : surroundings_.supervisor.instances()) {
            known += (known.empty() ? "" : ", ") + each->name();
            if (each->key() == arguments[0])
                meant += (meant.empty() ? "" : " or ") + std::string(kind_name(each->kind())) + ":" + each->key();
        }
        if (!meant.empty())
            return respond(
                Reply::failure(ExitCode::usage, "there are several instances \"" + arguments[0] + "\"", "write " + meant));
        return respond(Reply::failure(ExitCode::usage, "\"" + arguments[0] + "\" is neither a command nor an instance",
                                      "instances: " + known));
    }
    if (arguments.size() == 1 || arguments[1] == "help") return commands(instance, respond);

    const auto offered = instance->offered();
    const Offered::Command* command = nullptr;
    if (offered != nullptr)
        for (const Offered::Command& each : offered->commands)
            if (arguments[1] == each.name) command = &each;
    if (command == nullptr)
        return respond(Reply::failure(ExitCode::usage, instance->name() + " has no command \"" + arguments[1] + "\"",
                                      "flowd-cpp " + arguments[0] + " help lists them"));
    if (command->changes && !peer.may_change)
        return respond(Reply::failure(ExitCode::denied, "only root and the daemon's own user may run this command"));

    const bool posted =
        instance->run_job([instance, offered, words = control::Arguments(arguments.begin() + 1, arguments.end()),
                           respond](flowd_instance* module) {
            if (module == nullptr || offered->run == nullptr)
                return respond(Reply::failure(ExitCode::failure, instance->name() + " does not run"));
            std::vector<flowd_string> views;
            for (const std::string& word : words) views.push_back(to_c(word));
            Answer answer;
            const flowd_result result = instance->guarded(
                "command", [&] { return offered->run(module, views.data(), views.size(), &answer.writer); });
            if (answer.text.empty()) answer.text = "null";
            if (answer.too_long || !is_json(answer.text))
                return respond(
                    Reply::failure(ExitCode::failure, instance->name() + " gave an answer that is not JSON or too long"));
            if (result == FLOWD_OK) return respond(Reply{ExitCode::ok, std::move(answer.text)});
            std::string out;
            json::Writer w(out);
            w.object().key("error").raw(answer.text == "null" ? "\"the command failed\"" : answer.text).end();
            respond(Reply{exit_code_of(result < 0 ? result : static_cast<flowd_result>(FLOWD_ERROR)), std::move(out)});
        });
    if (!posted) respond(Reply::failure(ExitCode::failure, instance->name() + " does not run"));
}

}  // namespace flowd::core
