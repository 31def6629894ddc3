// SPDX-License-Identifier: Apache-2.0
#include "core/cli/app.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <optional>
#include <ostream>
#include <sstream>

#include "core/base/version.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/completion.hpp"
#include "core/cli/flows.hpp"
#include "core/cli/setup.hpp"
#include "core/service/installation.hpp"
#include "flowd/abi/base.h"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

std::string exit_code_help() {
    std::string text = "Exit codes:\n";
    for (const auto& [code, meaning] : exit_code_meanings) {
        text += "  " + std::to_string(to_int(code)) + "  " + std::string(meaning) + "\n";
    }
    return text + "status --check and verify have their own: 0 well, 1 warning, 2 error.\n";
}

void add_global_options(CLI::App& app, GlobalOptions& options) {
    const std::string group = "Global options";
    app.add_option("-c,--conf", options.conf, "Configuration file")->type_name("FILE")->capture_default_str()->group(group);
    app.add_option("--log-level", options.log_level, "trace, debug, info, warning or error")
        ->type_name("LEVEL")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
        ->capture_default_str()
        ->group(group);
    app.add_flag("--log-time", options.log_time, "Prefix log lines with the time (the journal adds its own)")->group(group);
    app.add_option("--modules", options.modules, "Search DIR for modules first; may be repeated")
        ->type_name("DIR")
        ->type_size(1)
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false)
        ->group(group);
    app.add_option("--control", options.control, "Control socket, instead of the configuration's")
        ->type_name("PATH")
        ->group(group);
    app.add_flag("--json", options.json, "Print the answer as JSON")->group(group);
}

std::string tools_help(const GlobalOptions& options) {
    std::string text;
    for (const OfferedTool& tool : list_tools(options, {}))
        text += "  flowd-cpp " + tool.component + " " + tool.name + "\n      " + tool.summary + "\n";
    return text.empty() ? text : "Tools of installed components, which need no daemon:\n" + text + "\n";
}

/// The command-line parser and its result.
class CommandLine {
  public:
    /// `profiles` become subcommands of `setup`; borrowed.
    explicit CommandLine(const Profiles& profiles) {
        app_.require_subcommand(0, 1);
        app_.prefix_command();  // words that do not begin with a subcommand are sent to the daemon
        app_.set_version_flag("--version", std::string("flowd-cpp ") + version());
        app_.get_formatter()->column_width(34);
        app_.footer([this] {
            return "Any other first word names a component or an instance of the running daemon:\n"
                   "  flowd-cpp marker status\n\n" +
                   tools_help(options) + exit_code_help() +
                   "\nExamples:\n"
                   "  flowd-cpp check --conf ./conf.yaml\n"
                   "  flowd-cpp run --log-level debug\n"
                   "  flowd-cpp status";
        });
        add_global_options(app_, options);

        command("run", "Run the daemon in the foreground", "  flowd-cpp run --conf /etc/flowd-cpp/conf.yaml");
        command("check", "Check the configuration; needs no privileges", "  flowd-cpp check --conf ./conf.yaml")
            ->add_flag("--host", host, "Also check this host for each configured instance");
        command("features", "Show which features this kernel has, and what needs them", "  flowd-cpp features");
        command("conf", "Print the effective configuration, with defaults and without secrets", "  flowd-cpp conf");

        CLI::App* modules =
            command("modules", "List and describe modules", "  flowd-cpp modules list\n  flowd-cpp modules info marker");
        modules->require_subcommand(1);
        list_ = command("list", "List the modules; reads only their ELF notes", "  flowd-cpp modules list --load", modules);
        list_->add_flag("--load", load, "Load each module, to show whether it is refused");
        info_ = command("info", "Describe one module: its components and options",
                        "  flowd-cpp modules info backend-firefly", modules);
        info_->add_option("name", name, "Module, component or file")->type_name("MODULE")->required();

        CLI::App* status = command("status", "Show what the daemon and each instance do, and the findings",
                                   "  flowd-cpp status\n  flowd-cpp status marker\n  flowd-cpp status --check");
        CLI::Option* instance = status->add_option("instance", status_request.instance, "Show this instance in full");
        instance->type_name("INSTANCE");
        CLI::Option* all_of_it = status->add_flag("--all", status_request.all, "Show everything, with every counter");
        all_of_it->excludes(instance);
        status
            ->add_flag("--check", status_request.check,
                       "Print the output of a Nagios plugin; its exit codes: 0 well, 1 warning, 2 error")
            ->excludes(instance)
            ->excludes(all_of_it);
        add_flows();
        metrics_ =
            command("metrics", "List every time series of the daemon and its instances", "  flowd-cpp metrics --json");
        metrics_->allow_extras();  // arguments for a backend of that name
        command("refusals", "List the last 256 inputs that instances refused", "  flowd-cpp refusals --json");
        command("findings", "List the problems that instances find on this host", "  flowd-cpp findings --json");
        CLI::App* verify = command("verify", "Verify what really leaves this host, and list every finding",
                                   "  flowd-cpp verify --probe\n  flowd-cpp verify --path storage.example.org --port 1094");
        CLI::Option* seconds =
            verify->add_option("--seconds", verify_request.seconds, "How long to look at packets; default 5");
        seconds->type_name("N")->check(CLI::Range(1, 3600));
        verify->add_flag("--probe", verify_request.probe, "Send packets where there is no traffic");
        CLI::Option* path = verify->add_option("--path", verify_request.path, "Show the flow label at each hop to HOST");
        path->type_name("HOST")->excludes(seconds)->excludes("--probe");
        path->check([](const std::string& text) { return std::string(text.empty() ? "HOST is empty" : ""); }, "");
        verify->add_option("--port", verify_request.port, "UDP port of the packets to HOST")
            ->type_name("N")
            ->check(CLI::Range(1, 65535))
            ->needs(path);
        command("explain", "Show what the daemon and each instance know of a flow or of a tag, and why",
                "  flowd-cpp explain tcp [2001:db8::1]:5201 [2001:db8::2]:40000\n"
                "  flowd-cpp explain 0x30038\n"
                "  flowd-cpp explain cms/14")
            ->add_option("what", explained, "PROTOCOL END END, or a flow label, a scitag, a tag or an experiment")
            ->type_name("FLOW|TAG")
            ->required();
        command("coverage", "Show the share of bytes that left with a tag, and what left without one",
                "  flowd-cpp coverage --json");
        command("plan", "Show the tag that each open socket would get by the configuration; needs no privileges",
                "  flowd-cpp plan --conf ./conf.yaml");
        command("commands", "List the commands of the instances of the running daemon", "  flowd-cpp commands");
        command("reload", "Read the configuration again, like SIGHUP, and report the result", "  flowd-cpp reload");

        add_setup(profiles);
        command("migrate", "Print the configuration of flowd-go or flowd as one of flowd-cpp",
                "  flowd-cpp migrate /etc/flowd-go/conf.yaml > conf.yaml")
            ->add_option("file", migrated_file, "conf.yaml or conf.json of flowd-go, flowd.cfg of flowd")
            ->type_name("FILE")
            ->required();

        CLI::App* create = command("new-module", "Create a project for a new module",
                                   "  flowd-cpp new-module mysource --kind plugin ./mysource");
        create->add_option("name", new_module.name, "Name of the component: lower-case letters and digits")
            ->type_name("NAME")
            ->required();
        create->add_option("--kind", new_module.kind, "plugin, backend or enricher")
            ->type_name("KIND")
            ->required()
            ->check(CLI::IsMember({"plugin", "backend", "enricher"}));
        create->add_option("--language", new_module.language, "c++ or c")
            ->type_name("LANGUAGE")
            ->check(CLI::IsMember({"c++", "c"}))
            ->capture_default_str();
        create->add_option("dir", new_module.directory, "Directory of the project; default ./KIND-NAME")->type_name("DIR");

        command("version", "Print the versions of the product and of the module ABI", "  flowd-cpp version --json");

        CLI::App* labels = command("label", "Encode and decode flow labels and scitags",
                                   "  flowd-cpp label encode cms default\n  flowd-cpp label decode 0x30038");
        labels->require_subcommand(1);
        CLI::App* encode =
            command("encode", "Print the flow label of a tag", "  flowd-cpp label encode 3 14 --all", labels);
        encode->add_option("experiment", label.experiment, "Id or name")->type_name("EXPERIMENT")->required();
        encode->add_option("activity", label.activity, "Id or name")->type_name("ACTIVITY")->required();
        encode->add_flag("--all", label.all, "Also print the 32 labels that the entropy bits allow");
        CLI::App* decode = command("decode", "Print the tags in flow labels",
                                   "  flowd-cpp label decode 196664\n"
                                   "  flowd-cpp label decode --scitag 206\n"
                                   "  tcpdump -lnvi eth0 ip6 | flowd-cpp label decode -",
                                   labels);
        decode
            ->add_option("value", label.values,
                         "Decimal, 0x hexadecimal, or what tcpdump and tshark print; \"-\": lines of standard input")
            ->type_name("VALUE")
            ->required();
        decode->add_flag("--scitag", label.is_scitag, "The value is a scitag integer (experiment * 64 + activity)");
        command("export", "Print the registered tags in the form of another tool",
                "  flowd-cpp label export --for wireshark > scitags.lua", labels)
            ->add_option("--for", consumer, "clickhouse, pmacct or wireshark")
            ->type_name("TOOL")
            ->required()
            ->check(CLI::IsMember({"clickhouse", "pmacct", "wireshark"}));

        CLI::App* registry = command("registry", "Show and update the experiments and activities of SciTags",
                                     "  flowd-cpp registry list\n  flowd-cpp registry show atlas");
        registry->require_subcommand(1);
        command("list", "List the experiments", "  flowd-cpp registry list --json", registry);
        command("show", "Show an experiment with its activities, their scitags and labels",
                "  flowd-cpp registry show atlas", registry)
            ->add_option("experiment", experiment, "Id or name")
            ->type_name("EXPERIMENT")
            ->required();
        CLI::App* update =
            command("update", "Replace the registry, and show what changes",
                    "  curl -O https://scitags.org/api.json\n  flowd-cpp registry update api.json", registry);
        update->add_option("file", registry_update.file, "A registry in the form of https://scitags.org/api.json")
            ->type_name("FILE")
            ->required();
        update->add_flag("--dry-run", registry_update.dry_run, "Show what would change, and change nothing");
    }
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    void parse(int argc, const char* const* argv) {
        app_.parse(argc, argv);
        words = app_.remaining();
        if (summary_->count() > 0 && flows_command.summary.empty()) flows_command.summary = "tag";
        if (metrics_->parsed() && !words.empty()) {
            words.insert(words.begin(), "metrics");
            app_.clear();
        }
        if (words.empty()) return;
        if (!app_.get_subcommands().empty()) throw CLI::ExtrasError({words.front()});
        if (words.front().rfind('-', 0) == 0) throw CLI::ExtrasError({words.front()});
        // The global options are also accepted after the words for an instance.
        CLI::App behind;
        behind.set_help_flag();
        behind.allow_extras();
        add_global_options(behind, options);
        std::vector<std::string> reversed(words.rbegin(), words.rend());
        behind.parse(reversed);
        words = behind.remaining();
    }

    [[nodiscard]] const CLI::App& app() const { return app_; }
    [[nodiscard]] bool said(const char* subcommand) const { return app_.got_subcommand(subcommand); }
    [[nodiscard]] bool said_list() const { return list_->parsed(); }
    /// The subcommand that was given below `subcommand`, which requires one.
    [[nodiscard]] std::string said_under(const char* subcommand) const {
        return app_.get_subcommand(subcommand)->get_subcommands().front()->get_name();
    }
    [[nodiscard]] std::string help() const { return app_.help(); }
    [[nodiscard]] std::string setup_help() const { return setup_->help(); }
    [[nodiscard]] int exit(const CLI::Error& error, std::ostream& out, std::ostream& err) const {
        return app_.exit(error, out, err);
    }
    [[nodiscard]] std::vector<std::string> subcommands() const {
        std::vector<std::string> names;
        for (const CLI::App* one : app_.get_subcommands([](const CLI::App*) { return true; }))
            names.push_back(one->get_name());
        return names;
    }

    GlobalOptions options;
    bool load = false;
    std::string name;
    FlowsCommand flows_command;
    ObserveCommand observe_command;
    NewModule new_module;
    std::string migrated_file;
    SetupRequest setup_request;
    StatusRequest status_request;
    VerifyRequest verify_request;
    LabelRequest label;
    std::string consumer, experiment;
    RegistryUpdate registry_update;
    std::vector<std::string> explained;
    bool host = false;
    std::vector<std::string> words;  ///< words that are sent to the daemon

  private:
    void add_flows() {
        CLI::App* flows = command("flows", "List the live or the ended flows",
                                  "  flowd-cpp flows --filter \"experiment=atlas bytes>1G\" --sort rate\n"
                                  "  flowd-cpp flows --watch\n"
                                  "  flowd-cpp flows --ended -o csv\n"
                                  "  flowd-cpp flows --summary network");
        flows->add_option("--limit", flows_command.limit, "Maximum number of flows; default 10000")->type_name("N");
        flows->add_option("--filter", flows_command.filter, "Only flows that match, see docs/filters.md")
            ->type_name("FILTER");
        flows->add_option("--sort", flows_command.sort, "Order; the default of the table is rate")
            ->type_name("FIELD")
            ->check(CLI::IsMember({"source", "destination", "tag", "age", "sent", "received", "bytes", "rate", "marked"}));
        flows->add_flag("--ended", flows_command.ended, "The last ended flows instead of the live ones");
        CLI::Option* wide =
            flows->add_flag("--wide", flows_command.wide, "All columns, whatever the width of the terminal");
        CLI::Option* summary =
            flows->add_option("--summary", flows_command.summary, "Sums instead of flows; default by tag");
        summary->type_name("GROUP")->expected(0, 1)->check(CLI::IsMember({"tag", "network", "port", "plugin"}));
        CLI::Option* format = flows->add_option("-o,--output", flows_command.format, "json, jsonl or csv");
        format->type_name("FORMAT")->check(CLI::IsMember({"json", "jsonl", "csv"}))->excludes(wide);
        flows->add_flag("--watch", flows_command.watch, "Show the flows on the whole terminal, refreshed each second")
            ->excludes(format)
            ->excludes(summary);
        summary_ = summary;
        CLI::App* observe = command("observe", "Show what happens to flows: starts, ends, new tags, refused inputs",
                                    "  flowd-cpp observe -f\n"
                                    "  flowd-cpp observe --last 100 --filter \"event=refusal plugin=fireflyp\"");
        observe->add_flag("-f,--follow", observe_command.follow, "Continue with new events until interrupted");
        observe->add_option("--last", observe_command.last, "Begin with the last N events; default 20, with --follow 0")
            ->type_name("N")
            ->check(CLI::Range(0, 100'000));
        observe->add_option("--filter", observe_command.filter, "Only events that match, see docs/filters.md")
            ->type_name("FILTER");
        observe->add_option("-o,--output", observe_command.format, "jsonl")
            ->type_name("FORMAT")
            ->check(CLI::IsMember({"jsonl"}));
    }

    void add_setup(const Profiles& profiles) {
        setup_ = command("setup", "Configure this host by a profile, and start the service",
                         "  flowd-cpp setup perfsonar\n  flowd-cpp setup perfsonar --experiment atlas --dry-run");
        setup_->require_subcommand(0, 1);
        setup_->add_flag("--dry-run", setup_request.dry_run, "Print the configuration and what would be done");
        setup_->add_flag("--no-start", setup_request.no_start, "Write the configuration only");
        setup_->add_flag("--yes", setup_request.yes, "Ask nothing: what is not given has its default");
        setup_->add_flag("--remove,--uninstall", setup_request.remove, "Restore what was there before setup");
        setup_->add_flag("--list-experiments", setup_request.list_experiments, "List the experiments of the registry");
        for (const Profile& profile : profiles.profiles) {
            CLI::App* const app =
                command(profile.name, profile.summary,
                        "  flowd-cpp setup " + profile.name + "\n  flowd-cpp setup " + profile.name + " --dry-run", setup_);
            app->callback([this, &profile] { setup_request.profile = &profile; });
            for (const Question& question : profile.questions) add_question(*app, question);
        }
    }

    void add_question(CLI::App& app, const Question& question) {
        const auto listed = [](const std::vector<std::string>& names) {
            std::string text;
            for (const std::string& one : names) text += (text.empty() ? "--" : ",--") + one;
            return text;
        };
        std::vector<std::string> names = question.aliases;
        names.insert(names.begin(), question.name);
        const auto take = [this, key = question.name](const std::string& answer) { setup_request.answers[key] = answer; };
        app.add_option_function<std::string>(listed(names), take, question.text)
            ->type_name(question.choice == Question::Choice::experiment ? "EXPERIMENT" : "VALUE");
        if (!question.none.empty())
            app.add_flag_callback(
                listed(question.none), [take] { take("none"); }, question.text + ": none");
    }

    CLI::App* command(const std::string& word, const std::string& summary, const std::string& example,
                      CLI::App* parent = nullptr) {
        CLI::App* added = (parent == nullptr ? app_ : *parent).add_subcommand(word, summary);
        added->fallthrough();
        added->footer("Global options (flowd-cpp --help) may follow, too.\n\nExample:\n" + example);
        return added;
    }

    CLI::App app_{"flowd-cpp: marks packets and announces flows with SciTags", "flowd-cpp"};
    CLI::App* setup_ = nullptr;
    CLI::App* list_ = nullptr;
    CLI::App* metrics_ = nullptr;
    CLI::Option* summary_ = nullptr;
    CLI::App* info_ = nullptr;
};

ExitCode print_version(const Output& output) {
    std::string text;
    json::Writer writer(text);
    writer.object().member("version", version());
    writer.member("moduleAbi", std::to_string(FLOWD_ABI_MAJOR) + "." + std::to_string(FLOWD_ABI_MINOR)).end();
    if (output.json) {
        output.answer(text);
    } else {
        output.out << "flowd-cpp " << version() << " (module ABI " << FLOWD_ABI_MAJOR << '.' << FLOWD_ABI_MINOR << ")\n";
    }
    return ExitCode::ok;
}

ExitCode label_command(const CommandLine& line, const Environment& environment, const Output& output) {
    const std::string word = line.said_under("label");
    if (word == "encode") return show_label(line.label, output);
    if (word == "decode") return decode_labels(line.label, environment.in, output);
    return print_labels(line.consumer, output);
}

ExitCode registry_command(const CommandLine& line, const Output& output) {
    const std::string word = line.said_under("registry");
    if (word == "list") return list_registry(output);
    if (word == "show") return show_experiment(output, line.experiment);
    return update_registry(line.options, output, line.registry_update);
}

/// A flow in one word, as `flows` and logs print it, is sent in three: older daemons accept no other form.
control::Arguments explain_request(const CommandLine& line) {
    control::Arguments words{"explain"};
    for (const std::string& one : line.explained) {
        std::istringstream parts(one);
        for (std::string part; parts >> part;) words.push_back(part);
    }
    return words;
}

ExitCode setup_command(const CommandLine& line, const Environment& environment, const Output& output) {
    const SetupRequest& request = line.setup_request;
    if (request.profile != nullptr || request.remove || request.list_experiments)
        return set_up(line.options, output, request, environment.asks ? &environment.in : nullptr);
    environment.err << line.setup_help();
    return ExitCode::usage;
}

/// Loads profiles only if the command line may need them: other commands do not read these files.
Profiles profiles_for(const std::vector<std::string>& words, std::ostream& err) {
    if (std::find(words.begin(), words.end(), "setup") == words.end()) return {};
    Profiles profiles = load_profiles(install_paths().share() / "profiles");
    for (const Error& error : profiles.errors) err << "flowd-cpp: " << error.message << '\n';
    return profiles;
}

ExitCode execute(const CommandLine& line, const Environment& environment, const Output& output) {
    const GlobalOptions& options = line.options;
    if (line.said("run")) return environment.run_daemon(options);
    if (line.said("check")) return check(options, output, line.host);
    if (line.said("features")) return show_features(options, output);
    if (line.said("conf")) return show_configuration(options, output);
    if (line.said("modules")) {
        return line.said_list() ? list_modules(options, output, line.load) : show_module(options, output, line.name);
    }
    if (line.said("status")) return show_status(options, output, line.status_request);
    if (line.said("flows")) return show_flows(options, output, line.flows_command, environment.out_is_terminal);
    if (line.said("observe")) return observe(options, output, line.observe_command);
    if (line.said("metrics")) return ask_daemon(options, output, {"metrics"});
    if (line.said("refusals")) return ask_daemon(options, output, {"refusals"});
    if (line.said("findings")) return ask_daemon(options, output, {"findings"});
    if (line.said("verify")) return verify(options, output, line.verify_request);
    if (line.said("explain")) return ask_daemon(options, output, explain_request(line));
    if (line.said("coverage")) return coverage(options, output);
    if (line.said("plan")) return plan(options, output);
    if (line.said("commands")) return ask_daemon(options, output, {"commands"});
    if (line.said("reload")) return ask_daemon(options, output, {"reload"});
    if (line.said("setup")) return setup_command(line, environment, output);
    if (line.said("migrate")) return migrate_file(options, output, line.migrated_file);
    if (line.said("new-module")) {
        Installation installation(install_paths(), options.modules);
        return make_module(line.new_module, installation, line.subcommands(), output);
    }
    if (line.said("version")) return print_version(output);
    if (line.said("label")) return label_command(line, environment, output);
    if (line.said("registry")) return registry_command(line, output);
    if (!line.words.empty()) {
        if (const auto done = run_tool(options, output, line.words)) return *done;
        return forward(options, output, line.words, line.subcommands());
    }
    environment.err << line.help();
    return ExitCode::usage;
}

/// For shell completion: fast, and without error messages.
ExitCode print_candidates(const std::vector<std::string>& words, const Environment& environment) {
    try {
        GlobalOptions options;
        CLI::App before;
        before.set_help_flag();
        before.allow_extras();
        add_global_options(before, options);
        try {
            before.parse(std::vector<std::string>(words.rbegin() + (words.empty() ? 0 : 1), words.rend()));
        } catch (const CLI::Error&) {  // the command line is incomplete
        }
        std::ostringstream silent;
        const Profiles profiles = profiles_for(words, silent);
        const CommandLine line(profiles);
        environment.out << complete(line.app(), options, words);
    } catch (const std::exception&) {
        return ExitCode::failure;
    }
    return ExitCode::ok;
}

ExitCode guarded_run(int argc, const char* const* argv, const Environment& environment) {
    if (argc > 1 && std::string_view(argv[1]) == "complete")
        return print_candidates(std::vector<std::string>(argv + 2, argv + argc), environment);
    const Profiles profiles =
        profiles_for(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), environment.err);
    CommandLine line(profiles);
    try {
        line.parse(argc, argv);
    } catch (const CLI::Error& error) {
        return line.exit(error, environment.out, environment.err) == 0 ? ExitCode::ok : ExitCode::usage;
    }
    const bool colours = environment.out_is_terminal && std::getenv("NO_COLOR") == nullptr;
    const ExitCode code = execute(line, environment, Output{environment.out, environment.err, line.options.json, colours});
    if (environment.out.flush() || code != ExitCode::ok) return code;
    environment.err << "flowd-cpp: the answer could not be written to standard output\n";
    return ExitCode::failure;
}

}  // namespace

ExitCode run(int argc, const char* const* argv, const Environment& environment) {
    try {
        return guarded_run(argc, argv, environment);
    } catch (const std::exception& exception) {
        environment.err << "flowd-cpp: " << exception.what() << '\n';
        return ExitCode::failure;
    }
}

}  // namespace flowd::core::cli
