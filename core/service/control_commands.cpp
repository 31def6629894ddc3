// SPDX-License-Identifier: Apache-2.0
#include "core/service/control_commands.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <span>

#include "core/service/flow_queries.hpp"
#include "core/service/status_json.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

using control::Reply;

constexpr std::size_t max_answer = 4U << 20;

/// Collects the output of a module.
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

constexpr std::chrono::milliseconds patience{1000};  // time limit for the replies of instances

constexpr std::uint32_t most_questions = 32;       // pending per instance; more are not posted to one that hangs
constexpr std::string_view own_status = "status";  // every instance has this command, from its module or the core

/// Replies of instances, by instance name. Any thread.
template <typename T>
class Answers {
  public:
    void set(const std::string& instance, T answer) {
        const std::lock_guard lock(mutex_);
        answers_[instance] = std::move(answer);
    }
    [[nodiscard]] std::map<std::string, T> all() const {
        const std::lock_guard lock(mutex_);
        return answers_;
    }

  private:
    mutable std::mutex mutex_;
    std::map<std::string, T> answers_;
};

/// Calls `over` when its last copy is destroyed.
struct Pending {
    std::function<void()> over;
    explicit Pending(std::function<void()> f) : over(std::move(f)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { over(); }
};

/// An instance that has failed, or does not return from a call.
struct Failed {
    std::string name;
    std::shared_ptr<const InstanceConfig> config;
    Finding finding;
};

/// A failed instance cannot report its causes; its module can check the host without an instance.
std::vector<Finding> with_causes(const Failed& failed, const Registry& registry) {
    std::vector<Finding> all{failed.finding};
    if (failed.finding.id != "daemon-instance-failed") return all;
    for (Finding& cause : host_findings(*failed.config, registry, [](flowd_level, std::string_view) {}))
        all.push_back(std::move(cause));
    return all;
}

}  // namespace

void ControlCommands::handle(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond) {
    const std::string& command = arguments.front();
    if (command == "status" && arguments.size() == 1) return status(std::move(respond));
    if (command == "status") {
        const auto instance = named(arguments[1]);
        if (!instance) return respond(Reply::failure(ExitCode::usage, instance.error().message, instance.error().hint));
        return status_of(**instance, std::move(respond));
    }
    if (command == "flows") return flows(arguments, respond);
    if (command == "observe") return observe(arguments, respond);
    if (command == "metrics" && arguments.size() == 1) return metrics(respond);  // else a backend of that name is addressed
    if (command == "refusals") return refusals(respond);
    if (command == "findings") return findings(std::move(respond));
    if (command == "explain") return explain(arguments, std::move(respond));
    if (command == "commands") return commands({}, respond);
    if (command == "reload") {
        if (!peer.may_change)
            return respond(Reply::failure(ExitCode::denied, "only root and the daemon's own user may reload"));
        return surroundings_.reload(std::move(respond));
    }
    run(arguments, peer, std::move(respond));
}

void ControlCommands::ask_instances(const std::function<bool(const Offered&)>& can, const Ask& ask,
                                    std::function<void()> finish, const std::function<void(std::shared_ptr<void>)>& also) {
    const auto answered = std::make_shared<std::atomic<bool>>(false);
    const auto once = [answered, finish = std::move(finish)] {
        if (!answered->exchange(true)) finish();
    };
    {
        // Held by the jobs. When all of them have run or were dropped, its destructor wakes the main loop.
        const auto pending =
            std::make_shared<Pending>([defer = surroundings_.defer, once] { defer(std::chrono::milliseconds(0), once); });
        if (also) also(pending);
        for (const auto& instance : surroundings_.supervisor.instances()) {
            const auto offered = instance->offered();
            if (offered == nullptr || !can(*offered)) continue;
            Instance* const asked = instance.get();
            if (asked->questions >= most_questions) continue;
            ++asked->questions;
            const bool posted = instance->run_job([asked, offered, ask, pending](flowd_instance* module) {
                --asked->questions;
                if (module != nullptr) ask(*asked, *offered, module);
            });
            if (!posted) --asked->questions;
        }
    }
    // After this time, instances that have not replied are omitted.
    surroundings_.defer(patience, once);
}

void ControlCommands::ask_status(std::function<void(const std::map<std::string, std::string>&)> finish) {
    const auto details = std::make_shared<Answers<std::string>>();
    const auto ask = [details](Instance& instance, const Offered& offered, flowd_instance* module) {
        Answer answer;
        const flowd_result result = instance.guarded("status", [&] { return offered.status(module, &answer.writer); });
        if (result == FLOWD_OK && !answer.too_long && is_json(answer.text))
            details->set(instance.name(), std::move(answer.text));
    };
    const auto open = std::make_shared<int>(2);
    const auto one_done = [open, details, finish = std::move(finish)] {
        if (--*open == 0) finish(details->all());
    };
    ask_instances([](const Offered& offered) { return offered.status != nullptr; }, ask, one_done);
    ask_findings(one_done);
}

void ControlCommands::status(control::Responder respond) {
    ask_status([this, respond = std::move(respond)](const auto& details) {
        respond(Reply{ExitCode::ok,
                      status_json(surroundings_.daemon(), surroundings_.supervisor, surroundings_.services, details)});
    });
}

void ControlCommands::status_of(const Instance& instance, control::Responder respond) {
    ask_status([this, name = instance.name(), respond = std::move(respond)](const auto& details) {
        const Instance* const found = surroundings_.supervisor.find(name);  // a reload may have removed it
        if (found == nullptr) return respond(Reply::failure(ExitCode::failure, name + " is gone"));
        const auto detail = details.find(name);
        respond(Reply{ExitCode::ok, instance_status_json(*found, surroundings_.services,
                                                         detail == details.end() ? nullptr : &detail->second)});
    });
}

void ControlCommands::ask_findings(std::function<void()> finish) {
    FindingsBoard& board = surroundings_.services.findings;
    std::vector<std::string> names{OwnFindings::instance};
    std::vector<Failed> failed;
    for (const auto& instance : surroundings_.supervisor.instances()) {
        names.push_back(instance->name());
        const auto offered = instance->offered();
        if (auto trouble = finding_of(*instance))
            failed.push_back({instance->name(), instance->config(), std::move(*trouble)});
        else if (offered == nullptr || offered->findings == nullptr)
            board.set(instance->name(), {});  // earlier problems no longer exist
    }
    board.keep_only(names);
    const auto ask = [&board](Instance& instance, const Offered& offered, flowd_instance* module) {
        FindingSink sink;
        const flowd_result result = instance.guarded("findings", [&] { return offered.findings(module, sink.abi()); });
        if (result == FLOWD_OK) board.set(instance.name(), std::move(sink.received()));
    };
    ask_instances(
        [](const Offered& offered) { return offered.findings != nullptr; }, ask, std::move(finish),
        [&](std::shared_ptr<void> pending) {
            surroundings_.aside([&board, &own = surroundings_.own_findings, &registries = surroundings_.services.registries,
                                 failed = std::move(failed), pending = std::move(pending)] {
                board.set(OwnFindings::instance, own.look());
                for (const Failed& one : failed) board.set(one.name, with_causes(one, registries.current()));
            });
        });
}

void ControlCommands::findings(control::Responder respond) {
    ask_findings([this, respond = std::move(respond)] {
        respond(Reply{ExitCode::ok, findings_json(surroundings_.services.findings.all())});
    });
}

void ControlCommands::explain(const control::Arguments& arguments, control::Responder respond) {
    auto question = read_question(std::span(arguments).subspan(1), surroundings_.services.registries.current());
    if (!question) return respond(Reply::failure(ExitCode::usage, question.error().message, question.error().hint));
    if (question->flow) return explain_flow(*question->flow, std::move(respond));
    const auto go_on = [this, asked = question->tag, respond = std::move(respond)](
                           const std::shared_ptr<TagSurvey>& found) { explain_tag(asked, found, respond); };
    surroundings_.aside([&bus = surroundings_.services.bus, defer = surroundings_.defer, asked = question->tag, go_on] {
        defer(std::chrono::milliseconds(0), [go_on, found = survey(bus, asked)] { go_on(found); });
    });
}

void ControlCommands::explain_flow(const flowd_key& key, control::Responder respond) {
    const auto told = std::make_shared<ExplainedFlow>(key);
    const auto go_on = [this, told, respond = std::move(respond)] { explain_flow(told, respond); };
    surroundings_.aside([&bus = surroundings_.services.bus, defer = surroundings_.defer, key, told, go_on] {
        (void)bus.examine(
            key, [&](const flowd_flow& flow, std::span<const FlowAnnouncer> announcers) { told->take(flow, announcers); });
        told->look_up_ended(bus);
        told->look_up_changes(bus);
        defer(std::chrono::milliseconds(0), go_on);
    });
}

void ControlCommands::explain_flow(const std::shared_ptr<ExplainedFlow>& told, control::Responder respond) {
    const auto answers = std::make_shared<Answers<std::vector<Explanation>>>();
    const auto ask = [told, answers](Instance& instance, const Offered& offered, flowd_instance* module) {
        ExplanationSink sink;
        const flowd_flow& flow = told->flow();
        const flowd_result result =
            instance.guarded("explain", [&] { return offered.explain(module, &flow, 1, sizeof flow, sink.abi()); });
        if (result == FLOWD_OK) answers->set(instance.name(), std::move(sink.received().front()));
    };
    ask_instances([](const Offered& offered) { return offered.explain != nullptr; }, ask,
                  [this, told, answers, respond = std::move(respond)] {
                      const auto& instances = surroundings_.supervisor.instances();
                      const auto plugins = std::count_if(instances.begin(), instances.end(), [](const auto& one) {
                          return one->kind() == FLOWD_PLUGIN && one->state() == InstanceState::running;
                      });
                      respond(Reply{ExitCode::ok, explain_json(surroundings_.services, *told,
                                                               static_cast<std::size_t>(plugins), answers->all())});
                  });
}

void ControlCommands::explain_tag(const TagQuestion& question, const std::shared_ptr<TagSurvey>& found,
                                  control::Responder respond) {
    std::vector<ConfiguredTag> configured;
    for (const auto& instance : surroundings_.supervisor.instances()) {
        const auto tags = configured_tags(*instance->config(), question);
        configured.insert(configured.end(), tags.begin(), tags.end());
    }
    const auto answers = std::make_shared<Answers<std::vector<std::vector<Explanation>>>>();
    const auto ask = [found, answers](Instance& instance, const Offered& offered, flowd_instance* module) {
        const auto flows = found->examined.flows();
        ExplanationSink sink(flows.size());
        const flowd_result result = instance.guarded(
            "explain", [&] { return offered.explain(module, flows.data(), flows.size(), sizeof(flowd_flow), sink.abi()); });
        if (result == FLOWD_OK) answers->set(instance.name(), std::move(sink.received()));
    };
    ask_instances([&](const Offered& offered) { return found->examined.size() != 0 && offered.explain != nullptr; }, ask,
                  [this, question, found, answers, configured = std::move(configured), respond = std::move(respond)] {
                      respond(Reply{ExitCode::ok, explain_tag_json(surroundings_.services, question, *found, configured,
                                                                   answers->all())});
                  });
}

void ControlCommands::flows(const control::Arguments& arguments, const control::Responder& respond) {
    auto request = FlowsRequest::from(std::span(arguments).subspan(1), surroundings_.services.registries.current());
    if (!request) return respond(Reply::failure(ExitCode::usage, request.error().message, request.error().hint));
    surroundings_.aside([services = surroundings_.services, request = std::move(*request), respond] {
        respond(Reply{ExitCode::ok, flows_json(services, request)});
    });
}

void ControlCommands::observe(const control::Arguments& arguments, const control::Responder& respond) {
    auto request = ObserveRequest::from(std::span(arguments).subspan(1), surroundings_.services.registries.current());
    if (!request) return respond(Reply::failure(ExitCode::usage, request.error().message, request.error().hint));
    surroundings_.aside([services = surroundings_.services, request = std::move(*request), respond] {
        const auto observed = observe_json(services, request);
        if (!observed) return respond(Reply::failure(ExitCode::usage, observed.error().message, observed.error().hint));
        respond(Reply{ExitCode::ok, *observed});
    });
}

void ControlCommands::metrics(const control::Responder& respond) {
    surroundings_.aside([services = surroundings_.services, respond] {
        respond(Reply{ExitCode::ok, metrics_json(services.metrics.snapshot())});
    });
}

void ControlCommands::refusals(const control::Responder& respond) {
    respond(Reply{ExitCode::ok, refusals_json(surroundings_.services.refusals.list())});
}

void ControlCommands::commands(std::string_view name, const control::Responder& respond) {
    std::string out;
    json::Writer w(out);
    w.array();
    const Instance* const only = name.empty() ? nullptr : surroundings_.supervisor.find(name);
    for (const auto& instance : surroundings_.supervisor.instances()) {
        if (only != nullptr ? only != instance.get() : !name.empty() && instance->key() != name) continue;
        const auto write = [&](std::string_view command, std::string_view arguments, std::string_view summary,
                               bool changes) {
            w.object();
            w.member("instance", instance->key()).member("kind", kind_name(instance->kind())).member("command", command);
            w.member("arguments", arguments).member("summary", summary);
            w.member("changes", changes);
            w.end();
        };
        bool has_status = false;
        if (const auto offered = instance->offered())
            for (const Offered::Command& command : offered->commands) {
                has_status = has_status || command.name == own_status;
                write(command.name, command.arguments, command.summary, command.changes);
            }
        if (!has_status) write(own_status, "", "Shows this instance in full.", false);
    }
    w.end();
    respond(Reply{ExitCode::ok, out});
}

Result<Instance*> ControlCommands::named(const std::string& word) const {
    if (Instance* const found = surroundings_.supervisor.find(word)) return found;
    std::string known, meant;
    for (const auto& each : surroundings_.supervisor.instances()) {
        known += (known.empty() ? "" : ", ") + each->name();
        if (each->key() == word)
            meant += (meant.empty() ? "" : " or ") + std::string(kind_name(each->kind())) + ":" + each->key();
    }
    if (!meant.empty()) return Error{FLOWD_INVALID, "there are several instances \"" + word + "\"", "write " + meant};
    return Error{FLOWD_INVALID, "\"" + word + "\" is neither a command nor an instance", "instances: " + known};
}

void ControlCommands::run(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond) {
    const auto meant = named(arguments[0]);
    const bool asks = arguments.size() == 1 || arguments[1] == "help";
    const auto& all = surroundings_.supervisor.instances();
    if (asks && std::any_of(all.begin(), all.end(), [&](const auto& each) { return each->key() == arguments[0]; }))
        return commands(arguments[0], respond);  // also if several have this key
    if (!meant) return respond(Reply::failure(ExitCode::usage, meant.error().message, meant.error().hint));
    Instance* const instance = *meant;
    if (asks) return commands(instance->name(), respond);

    const auto offered = instance->offered();
    const Offered::Command* command = nullptr;
    if (offered != nullptr)
        for (const Offered::Command& each : offered->commands)
            if (arguments[1] == each.name) command = &each;
    if (command == nullptr && arguments[1] == own_status && arguments.size() == 2)
        return status_of(*instance, std::move(respond));
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
