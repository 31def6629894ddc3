// SPDX-License-Identifier: Apache-2.0
// flowd/detail/bridge.hpp: the C callbacks of a C++ component, each behind an exception barrier. Included by
// flowd/module.hpp only.
#pragma once

#include "flowd/detail/step.hpp"
#include "flowd/module.hpp"

namespace flowd {

namespace detail {

template <typename T>
class Bridge {
  public:
    using Options = typename T::Options;

    static const flowd_component& describe() {
        static const flowd_component component = make();
        return component;
    }

  private:
    /// flowd_instance points to this.
    struct Instance {
        std::unique_ptr<Host> host;
        std::unique_ptr<T> object;  // destroyed before its host
        bool stopped = false;
    };

    static Instance& of(flowd_instance* instance) { return *reinterpret_cast<Instance*>(instance); }

    static constexpr bool has_validate = requires(const Options& options, Problems& problems) {
        T::validate(options, problems);
    };
    static constexpr bool has_offline_validate = requires(const Options& options, Problems& problems, const Offline& core) {
        T::validate(options, problems, core);
    };
    static constexpr bool has_reconfigure = requires(T & object, Options options) {
        { object.reconfigure(std::move(options)) } -> std::same_as<Result<void>>;
    };
    static constexpr bool has_commands = requires {
        { T::commands() } -> std::same_as<std::vector<Command<T>>>;
    };

    static constexpr bool has_findings = requires(const T& object) {
        { object.findings() } -> std::same_as<std::vector<Finding>>;
    };
    static constexpr bool has_host_findings = requires(const Options& options, const Offline& core) {
        { T::host_findings(options, core) } -> std::same_as<std::vector<Finding>>;
    };
    static constexpr bool has_explain = requires(const T& object, const FlowBatch& flows, Explanations& explanations) {
        object.explain(flows, explanations);
    };

    static constexpr bool has_plan =
        requires(const Options& options, const Connections& connections, Plan& plan, const Offline& core) {
        T::plan(options, connections, plan, core);
    };

    template <typename Work>
    static flowd_result call(flowd_instance* instance, const char* what, Work&& work) noexcept {
        const bool returned = guarded(of(instance).host->raw(), what, [&] { work(*of(instance).object); });
        return returned ? FLOWD_OK : FLOWD_EXCEPTION;
    }

    static flowd_result validate(const flowd_host* host, const flowd_value* config, const flowd_problems* sink) noexcept {
        (void)host;
        Problems problems(sink);
        try {
            auto options = Options::table().read(*config);
            if (!options) {
                problems.add(Problem::from(options.error()));
                return failure_code(options.error());
            }
            if constexpr (has_validate) T::validate(*options, problems);
            if constexpr (has_offline_validate) T::validate(*options, problems, Offline(host));
            return problems.errors() > 0 ? FLOWD_INVALID : FLOWD_OK;
        } catch (...) {
            try {
                problems.error({}, "validate threw: " + current_exception_text(), "this is a fault of the module");
            } catch (...) {  // no memory for the text
            }
            return FLOWD_EXCEPTION;
        }
    }

    static flowd_result create(const flowd_host* raw, const flowd_value* config, flowd_instance** instance) noexcept {
        *instance = nullptr;
        return step(raw, "create", [&]() -> Result<void> {
            auto host = Host::make(raw);
            if (!host) return std::move(host).error();
            auto options = Options::table().read(*config);
            if (!options) return std::move(options).error();
            auto made = std::make_unique<Instance>();
            made->host = std::move(host).value();
            made->object = std::make_unique<T>(*made->host, std::move(options).value());
            *instance = reinterpret_cast<flowd_instance*>(made.release());
            return {};
        });
    }
    static flowd_result prepare(flowd_instance* instance) noexcept {
        return step(of(instance).host->raw(), "prepare", [&] { return of(instance).object->prepare(); });
    }
    static flowd_result start(flowd_instance* instance) noexcept {
        return step(of(instance).host->raw(), "start", [&] { return of(instance).object->start(); });
    }
    static flowd_result run(flowd_instance* instance) noexcept {
        return step(of(instance).host->raw(), "run", [&] { return of(instance).object->run(); });
    }
    static flowd_result stop(flowd_instance* instance, std::int64_t deadline_ns, std::uint32_t reason) noexcept {
        if (std::exchange(of(instance).stopped, true)) return FLOWD_OK;
        return step(of(instance).host->raw(), "stop",
                    [&] { return of(instance).object->stop(Deadline(deadline_ns, reason)); });
    }
    static void destroy(flowd_instance* instance) noexcept {
        const std::unique_ptr<Instance> owned(reinterpret_cast<Instance*>(instance));
        if (owned == nullptr) return;
        guarded(owned->host->raw(), "destroy", [&] { owned->object.reset(); });
    }
    static flowd_result reconfigure(flowd_instance* instance, const flowd_value* config) noexcept {
        // FLOWD_UNSUPPORTED is not a failure here: the core creates a new instance instead.
        bool unsupported = false;
        const flowd_result result = step(of(instance).host->raw(), "reconfigure", [&]() -> Result<void> {
            auto options = Options::table().read(*config);
            if (!options) return std::move(options).error();
            if constexpr (has_reconfigure) {
                auto done = of(instance).object->reconfigure(std::move(options).value());
                unsupported = !done && done.error().code == FLOWD_UNSUPPORTED;
                if (!unsupported) return done;
            }
            return {};
        });
        return unsupported ? static_cast<flowd_result>(FLOWD_UNSUPPORTED) : result;
    }
    static flowd_result on_events(flowd_instance* instance, const flowd_event* events, std::size_t count,
                                  std::size_t stride, std::size_t* taken) noexcept {
        flowd_result result = FLOWD_OK;
        const flowd_result called = call(instance, "on_events", [&](auto& object) {
            const Taken answer = object.on_events(Events(events, count, stride));
            result = answer.result;
            *taken = answer.result == FLOWD_OK ? count : answer.count;
        });
        return called == FLOWD_OK ? result : called;
    }
    static flowd_result sample(flowd_instance* instance, const flowd_flow* flows, std::size_t count, std::size_t stride,
                               std::int32_t last, const flowd_samples* sink) noexcept {
        return call(instance, "sample", [&](auto& object) {
            Samples samples(sink);
            object.sample(FlowBatch(flows, count, stride), last != 0, samples);
        });
    }
    static void on_room(flowd_instance* instance) noexcept {
        (void)call(instance, "on_room", [](auto& object) { object.on_room(); });
    }

    static flowd_result status(flowd_instance* instance, const flowd_writer* answer) noexcept {
        return call(instance, "status", [&](auto& object) {
            std::string text;
            json::Writer writer(text);
            writer.object();
            std::as_const(object).status(writer);
            writer.end();
            answer->write(answer, to_c(text));
        });
    }

    static flowd_result command(flowd_instance* instance, const flowd_string* words, std::size_t count,
                                const flowd_writer* answer) noexcept {
        flowd_result result = FLOWD_NOT_FOUND;
        const auto fail = [&](const Error& error) {
            std::string text;
            json::Writer(text).value(error.hint.empty() ? error.message : error.message + "; " + error.hint);
            answer->write(answer, to_c(text));
            result = failure_code(error);
        };
        const flowd_result called = call(instance, "a command", [&](auto& object) {
            if constexpr (has_commands) {
                const std::string_view name = count > 0 ? to_view(words[0]) : std::string_view();
                for (const auto& one : command_table().commands) {
                    if (name != one.name) continue;
                    std::vector<std::string_view> arguments;
                    for (std::size_t i = 1; i < count; ++i) arguments.push_back(to_view(words[i]));
                    std::string text;
                    json::Writer writer(text);
                    const Result<void> done = (object.*one.run)(arguments, writer);
                    if (!done) return fail(done.error());
                    answer->write(answer, to_c(text.empty() ? std::string_view("null") : std::string_view(text)));
                    result = FLOWD_OK;
                    return;
                }
                fail(Error{FLOWD_NOT_FOUND, "there is no command '" + std::string(name) + "'"});
            }
        });
        return called == FLOWD_OK ? result : called;
    }

    static void pass_on(const std::vector<Finding>& all, const flowd_findings* sink) {
        for (const Finding& one : all) {
            const flowd_finding raw{sizeof raw,      one.severity,       one.id,           to_c(one.subject),
                                    to_c(one.found), to_c(one.expected), to_c(one.remedy), one.since_ns};
            (void)sink->add(sink, &raw);
        }
    }
    static flowd_result findings(flowd_instance* instance, const flowd_findings* sink) noexcept {
        return call(instance, "findings", [&](const auto& object) {
            if constexpr (has_findings) pass_on(object.findings(), sink);
        });
    }
    static flowd_result host_findings(const flowd_host* host, const flowd_value* config,
                                      const flowd_findings* sink) noexcept {
        bool done = false;
        const bool returned = guarded(host, "host_findings", [&] {
            const auto options = Options::table().read(*config);
            if constexpr (has_host_findings)
                if (options) pass_on(T::host_findings(*options, Offline(host)), sink);
            done = static_cast<bool>(options);
        });
        return !returned ? FLOWD_EXCEPTION : done ? FLOWD_OK : FLOWD_INVALID;
    }
    static flowd_result plan(const flowd_host* host, const flowd_value* config, const flowd_connection* connections,
                             std::size_t count, std::size_t stride, const flowd_plan* sink) noexcept {
        bool done = false;
        const bool returned = guarded(host, "plan", [&] {
            const auto options = Options::table().read(*config);
            Plan planned(sink);
            if constexpr (has_plan)
                if (options) T::plan(*options, Connections(connections, count, stride), planned, Offline(host));
            done = static_cast<bool>(options);
        });
        return !returned ? FLOWD_EXCEPTION : done ? FLOWD_OK : FLOWD_INVALID;
    }
    static flowd_result explain(flowd_instance* instance, const flowd_flow* flows, std::size_t count, std::size_t stride,
                                const flowd_explanations* sink) noexcept {
        return call(instance, "explain", [&](const auto& object) {
            Explanations explanations(sink);
            if constexpr (has_explain) object.explain(FlowBatch(flows, count, stride), explanations);
        });
    }

    static constexpr bool has_tools = requires {
        { T::tools() } -> std::same_as<std::vector<Tool>>;
    };
    struct ToolTable {
        std::vector<Tool> tools = T::tools();
        std::vector<flowd_tool> rows;
        flowd_ext_tool extension{};

        ToolTable() {
            for (const Tool& one : tools)
                rows.push_back({sizeof(flowd_tool), 0, one.name, one.summary, one.options, one.option_count,
                                sizeof(flowd_option), one.run});
            extension.size = sizeof extension;
            extension.tools = rows.data();
            extension.tool_count = rows.size();
            extension.tool_stride = sizeof(flowd_tool);
        }
    };
    static const void* offline(const char* id) noexcept {
        const std::string_view name = id == nullptr ? std::string_view() : std::string_view(id);
        if constexpr (has_host_findings) {
            static const flowd_ext_findings offered{sizeof offered, 0, nullptr, &Bridge::host_findings};
            if (name == FLOWD_EXT_FINDINGS) return &offered;
        }
        if constexpr (has_plan) {
            static const flowd_ext_plan offered{sizeof offered, 0, &Bridge::plan};
            if (name == FLOWD_EXT_PLAN) return &offered;
        }
        if constexpr (has_tools) {
            if (name == FLOWD_EXT_TOOL) {
                try {
                    static const ToolTable table;
                    return &table.extension;
                } catch (...) {  // out of memory, without a host to log to
                }
            }
        }
        return nullptr;
    }

    struct CommandTable {
        std::vector<Command<T>> commands = T::commands();
        std::vector<flowd_command> rows;
        flowd_ext_command extension{};

        CommandTable() {
            for (const auto& one : commands)
                rows.push_back({sizeof(flowd_command), one.changes ? std::uint32_t(FLOWD_COMMAND_CHANGES) : 0u, one.name,
                                one.arguments, one.summary});
            extension.size = sizeof extension;
            extension.commands = rows.data();
            extension.command_count = rows.size();
            extension.command_stride = sizeof(flowd_command);
            extension.run = &Bridge::command;
        }
    };
    static const CommandTable& command_table() {
        static const CommandTable table;
        return table;
    }

    static const void* extension(flowd_instance* instance, const char* id) noexcept {
        const std::string_view name = id == nullptr ? std::string_view() : std::string_view(id);
        if (name == FLOWD_EXT_STATUS) {
            static const flowd_ext_status offered{sizeof(flowd_ext_status), 0, &Bridge::status};
            return &offered;
        }
        if constexpr (has_findings) {
            static const flowd_ext_findings offered{sizeof offered, 0, &Bridge::findings, nullptr};
            if (name == FLOWD_EXT_FINDINGS) return &offered;
        }
        if constexpr (has_explain) {
            static const flowd_ext_explain offered{sizeof offered, 0, &Bridge::explain};
            if (name == FLOWD_EXT_EXPLAIN) return &offered;
        }
        const void* answer = nullptr;
        if constexpr (has_commands) {
            if (name == FLOWD_EXT_COMMAND)
                (void)call(instance, "commands", [&](auto&) { answer = &command_table().extension; });
        }
        (void)instance;
        return answer;
    }

    static flowd_component make() {
        constexpr const Info& info = T::info;
        flowd_component component{};
        component.size = sizeof component;
        component.kind = T::kind;
        component.name = info.name;
        component.summary = info.summary;
        component.aliases = info.aliases[0] == nullptr ? nullptr : info.aliases.data();
        component.loop = info.loop;
        if constexpr (T::kind == FLOWD_PLUGIN) {
            component.precedence = info.precedence;
            component.on_room = &Bridge::on_room;
        }
        component.flags = info.flags;
        if constexpr (T::kind == FLOWD_BACKEND) {
            component.accepts = info.accepts;
            component.on_events = &Bridge::on_events;
        }
        if constexpr (T::kind == FLOWD_ENRICHER) component.sample = &Bridge::sample;
        component.options = Options::table().rows();
        component.option_count = Options::table().size();
        component.option_stride = sizeof(flowd_option);
        if constexpr (has_validate || has_offline_validate) component.validate = &Bridge::validate;
        component.create = &Bridge::create;
        component.prepare = &Bridge::prepare;
        component.start = &Bridge::start;
        if (info.loop == FLOWD_LOOP_OWN) component.run = &Bridge::run;
        component.stop = &Bridge::stop;
        component.destroy = &Bridge::destroy;
        if constexpr (has_reconfigure) component.reconfigure = &Bridge::reconfigure;
        component.extension = &Bridge::extension;
        if constexpr (has_tools || has_host_findings || has_plan) component.offline = &Bridge::offline;
        return component;
    }
};

/// Null if describing a component threw an exception: the loader reports that.
template <typename... Components>
const flowd_module* module(const char* name, const char* version, const char* license) noexcept {
    try {
        static const std::array<flowd_component, sizeof...(Components)> components{Bridge<Components>::describe()...};
        static const flowd_module described{
            sizeof(flowd_module), FLOWD_ABI_MAJOR,   FLOWD_ABI_MINOR,        0, name, version, license,
            components.data(),    components.size(), sizeof(flowd_component)};
        return &described;
    } catch (...) {
        return nullptr;
    }
}

}  // namespace detail

/// The C description of a component; static. For tests, and for modules that define flowd_module_v1 themselves.
template <typename T>
const flowd_component& component() {
    return detail::Bridge<T>::describe();
}

}  // namespace flowd
