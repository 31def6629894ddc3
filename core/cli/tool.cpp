// SPDX-License-Identifier: Apache-2.0
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <ostream>

#include "core/base/logging.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/interrupt.hpp"
#include "core/cli/tool_call.hpp"
#include "core/cli/tool_words.hpp"
#include "core/config/offline_host.hpp"
#include "core/control/client.hpp"
#include "core/modules/module_set.hpp"
#include "core/service/installation.hpp"
#include "core/service/problem_exit.hpp"
#include "flowd/json.hpp"
#include "flowd/sized.hpp"

namespace flowd::core::cli {
namespace {

/// The tools of one component.
struct Offer {
    const Component* component = nullptr;
    std::vector<Tool> tools;

    [[nodiscard]] const Tool* find(std::string_view name) const {
        const auto found = std::find_if(tools.begin(), tools.end(), [&](const Tool& one) { return one.name == name; });
        return found == tools.end() ? nullptr : &*found;
    }
};

/// Adds the tools of a module. A refused module has none; `check` and `modules list --load` say why it is refused.
void add_offers(ModuleSet& set, Module& module, std::vector<Offer>& offers) {
    if (!set.load(module)) return;
    for (const auto& component : module.declared.components) {
        auto tools = read_tools(component->table);
        if (tools && !tools->empty()) offers.push_back({component.get(), std::move(*tools)});
    }
}

/// Tools of the components of this name; if there is no such component, of those with this alias.
std::vector<Offer> offers_of(ModuleSet& set, std::string_view name) {
    std::vector<Offer> offers;
    for (Module* const module : set.offering(name)) add_offers(set, *module, offers);
    std::erase_if(offers, [&](const Offer& offer) { return !offer.component->answers_to(name); });
    return offers;
}

/// "firefly" of "firefly/regional".
std::string component_of(const std::string& word) {
    return word.substr(0, word.find('/'));
}

/// The member `line` of an object; tools that print a line per event return such objects.
std::optional<std::string> line_in(std::string_view json) {
    simdjson::dom::parser parser;
    std::string_view line;
    if (parser.parse(json.data(), json.size()).at_pointer("/line").get(line) != simdjson::SUCCESS) return std::nullopt;
    return std::string(line);
}

struct Printer {
    const std::function<bool(std::string_view)>& print;
    flowd_writer writer{};

    explicit Printer(const std::function<bool(std::string_view)>& to) : print(to) {
        writer.size = sizeof writer;
        writer.context = this;
        writer.write = [](const flowd_writer* self, flowd_string text) -> flowd_result {
            return static_cast<Printer*>(self->context)->print(to_view(text)) ? FLOWD_OK : FLOWD_STOPPED;
        };
    }
    Printer(const Printer&) = delete;
    Printer& operator=(const Printer&) = delete;
};

flowd_result ask_for_tool(const std::string& control, const std::vector<std::string>& words, std::string& answer) {
    auto reply = control::request(control, words);
    answer = reply ? reply->json : reply.error().message;
    if (!reply) return reply.error().code;
    return reply->code == ExitCode::ok ? FLOWD_OK : FLOWD_ERROR;
}

/// The host of a tool: log lines go to standard error; a reported error becomes the reason of a negative result.
class ToolHost {
  public:
    ToolHost(const Registry& registry, const GlobalOptions& options, const std::string& name)
        : logging_(LogOptions{parse_log_level(options.log_level).value_or(spdlog::level::info), options.log_time}),
          logger_(logging_.logger(name)),
          host_(registry, name, version(),
                {[this](flowd_level level, std::string_view line) { logger_->log(to_spdlog(level), line); },
                 [this](const flowd_problem& problem) { note(problem); },
                 [control = control_path(options)](const auto& words, std::string& answer) {
                     return ask_for_tool(control, words, answer);
                 }}) {}

    [[nodiscard]] const flowd_host* host() const { return host_.abi(); }
    [[nodiscard]] const Error& error() const { return error_; }

  private:
    void note(const flowd_problem& problem) {
        if (problem.level < FLOWD_LEVEL_ERROR) return logger_->warn("{}", to_view(problem.message));
        error_ = Error{problem.result, std::string(to_view(problem.message)), std::string(to_view(problem.hint))};
    }

    Logging logging_;
    std::shared_ptr<spdlog::logger> logger_;
    Error error_;
    OfflineHost host_;
};

/// The instance whose options are passed to a tool: the one that `word` names, else the component's only one.
Result<const InstanceConfig*> configured(const LoadedConfiguration& loaded, const Component& component,
                                         const std::string& word) {
    if (!loaded.configuration) return nullptr;
    std::vector<const InstanceConfig*> all;
    for (const InstanceConfig& instance : loaded.configuration->instances)
        if (instance.kind == component.table.kind && instance.component_name == component.name()) all.push_back(&instance);
    const auto slash = word.find('/');
    const std::string key = std::string(component.name()) + (slash == std::string::npos ? "" : word.substr(slash));
    const auto named = std::find_if(all.begin(), all.end(), [&](const auto* one) { return one->key == key; });
    if (named != all.end()) return *named;
    if (slash != std::string::npos)
        return Error{FLOWD_NOT_FOUND,
                     "the configuration has no " + std::string(kind_name(component.table.kind)) + " " + key};
    return all.size() == 1 ? all.front() : nullptr;
}

ExitCode call(const Tool& tool, const Offer& offer, const GlobalOptions& options, const Output& output,
              Installation& installation, const ValueTree& values, const std::string& word) {
    // The configuration is optional for the tool: its problems are reported by `check`.
    const LoadedConfiguration loaded = installation.load(options.conf, {true, {}});
    const auto config = configured(loaded, *offer.component, word);
    if (!config) return output.fail(config.error());

    const auto interrupt = Interrupt::listen();
    if (!interrupt) return output.fail(interrupt.error());
    const ToolSite site{installation.registry(), options, std::string(offer.component->name()), (*interrupt)->fd()};
    // Flushed after each value: some tools run until they are interrupted.
    const auto done = call_tool(tool, site, values, *config, [&output](std::string_view json) {
        if (const auto line = output.json ? std::nullopt : line_in(json))
            output.out << printable(*line) << '\n';
        else
            output.answer(json);
        output.out.flush();
        return static_cast<bool>(output.out);
    });
    return done ? ExitCode::ok : output.fail(done.error());
}

}  // namespace

Result<void> call_tool(const Tool& tool, const ToolSite& site, const ValueTree& values, const InstanceConfig* config,
                       const std::function<bool(std::string_view)>& print) {
    const ToolHost host(site.registry, site.options, site.name);
    const Printer printer(print);
    flowd_tool_call raw{};
    raw.size = sizeof raw;
    raw.interrupt_fd = site.interrupt_fd;
    raw.host = host.host();
    raw.options = &values.root();
    raw.config = config == nullptr ? nullptr : &config->value();
    raw.output = &printer.writer;
    flowd_result result = FLOWD_EXCEPTION;
    try {
        result = tool.run(&raw);
    } catch (...) {
        return Error{FLOWD_EXCEPTION, "the tool threw an exception", "this is a defect of the module"};
    }
    if (result == FLOWD_OK) return {};
    const Error& error = host.error();
    return Error{result, error.message.empty() ? "the tool failed without a message" : error.message, error.hint};
}

std::optional<ExitCode> run_tool(const GlobalOptions& options, const Output& output, const control::Arguments& words) {
    if (words.size() < 2) return std::nullopt;
    Installation installation(install_paths(), options.modules);
    for (const Offer& offer : offers_of(installation.scan_modules(), component_of(words[0]))) {
        const Tool* tool = offer.find(words[1]);
        if (tool == nullptr) continue;
        const std::string command = "flowd-cpp " + words[0] + " " + words[1];
        const std::vector<std::string> rest(words.begin() + 2, words.end());
        if (std::any_of(rest.begin(), rest.end(), [](const auto& word) { return word == "--help" || word == "-h"; })) {
            output.out << tool_help(*tool, command);
            return ExitCode::ok;
        }
        ValueTree values;
        Problems problems;
        const Binder::Trust trust = [](const std::filesystem::path& file) { return trusted_path(file); };
        const bool bound = bind_tool_words(*tool, command, rest, installation.registry(), trust, values, problems);
        output.err << problems.to_string();
        if (!bound) return ExitCode::usage;
        return call(*tool, offer, options, output, installation, values, words[0]);
    }
    return std::nullopt;
}

std::vector<OfferedTool> list_tools(const GlobalOptions& options, std::string_view name) {
    Installation installation(install_paths(), options.modules);
    ModuleSet& set = installation.scan_modules();
    std::vector<Offer> offers;
    if (name.empty())
        for (const auto& module : set.modules()) add_offers(set, *module, offers);
    else
        offers = offers_of(set, name.substr(0, name.find('/')));
    std::vector<OfferedTool> listed;
    for (const Offer& offer : offers)
        for (const Tool& tool : offer.tools) {
            listed.push_back({std::string(offer.component->name()), tool.name, tool.summary, {}});
            for (const Option& option : tool.options) listed.back().options.emplace_back("--" + option.name, option.doc);
        }
    return listed;
}

}  // namespace flowd::core::cli
