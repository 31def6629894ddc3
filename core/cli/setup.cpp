// SPDX-License-Identifier: Apache-2.0
#include "core/cli/setup.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <istream>
#include <ostream>

#include "core/base/text.hpp"
#include "core/service/installation.hpp"
#include "core/service/problem_exit.hpp"
#include "core/setup/host.hpp"
#include "core/setup/migration.hpp"
#include "core/setup/setup_file.hpp"
#include "core/setup/yaml_path.hpp"
#include "flowd/json.hpp"
#include "flowd/number.hpp"

namespace flowd::core::cli {
namespace fs = std::filesystem;
namespace {

constexpr const char* service = "flowd-cpp.service";

/// Runs a program with the streams of this process. Returns its exit code; 127 if it could not be run.
int run_program(std::vector<std::string> words) {
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return 127;
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

bool systemctl(std::vector<std::string> words) {
    words.insert(words.begin(), "systemctl");
    return run_program(std::move(words)) == 0;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
    return text;
}

class Setup {
  public:
    Setup(const GlobalOptions& options, const Output& output, const SetupRequest& request, std::istream* terminal)
        : output_(output),
          request_(request),
          terminal_(terminal),
          installation_(install_paths(), options.modules),
          file_(fs::absolute(options.conf)),
          serves_(options.conf == GlobalOptions().conf && ::sd_booted() > 0),
          is_default_(options.conf == GlobalOptions().conf) {}

    ExitCode list_experiments() {
        if (output_.json) {
            std::string text;
            json::Writer writer(text);
            writer.array();
            for (const auto& [id, experiment] : installation_.registry().experiments())
                writer.object().member("id", id).member("name", experiment.name).end();
            writer.end();
            output_.answer(text);
            return ExitCode::ok;
        }
        for (const auto& [id, experiment] : installation_.registry().experiments())
            output_.out << "  " << id << (id < 10 ? "   " : "  ") << experiment.name << '\n';
        return ExitCode::ok;
    }

    ExitCode run() {
        if (const auto locked = file_.lock(); !locked) return output_.fail(locked.error());
        const auto present = file_.read();
        if (!present) return output_.fail(present.error());
        present_ = *present;
        if (const auto refused = look_at_host()) return *refused;
        if (const auto refused = answer_all()) return *refused;
        const auto stamp = present_ ? SetupFile::stamp_of(*present_) : std::nullopt;
        const bool enables = serves_ && !request_.no_start && !systemctl({"is-enabled", "--quiet", service});
        const std::string text =
            SetupFile::stamped(request_.profile->name, request_.profile->configured(answers_, installation_.registry()),
                               enables || (stamp && stamp->started));
        if (const ExitCode code = judge(text); code != ExitCode::ok) return code;
        tell_of_host();
        const bool changes = present_ != text;
        if (request_.dry_run || terminal_ != nullptr) output_.out << text << '\n';
        tell_plan(changes);
        if (request_.dry_run) return ExitCode::ok;
        if (terminal_ != nullptr && !request_.yes && !confirmed("Do this?")) {
            output_.err << "nothing was changed\n";
            return ExitCode::failure;
        }
        if (changes) {
            auto done = file_.prepare(text);
            if (done) done = file_.commit();
            if (!done) {
                file_.discard();
                return output_.fail(done.error());
            }
        }
        return start(changes);
    }

    ExitCode remove() {
        if (const auto locked = file_.lock(); !locked) return output_.fail(locked.error());
        const auto present = file_.read();
        if (!present) return output_.fail(present.error());
        const auto stamp = *present ? SetupFile::stamp_of(**present) : std::nullopt;
        if (!stamp) {
            if (!request_.dry_run) file_.clean();
            output_.out << file_.path().string() << " was not written by setup: there is nothing to restore\n";
            return ExitCode::ok;
        }
        const bool stops = serves_ && stamp->started;
        std::error_code ignored;
        const bool had_file = fs::exists(fs::symlink_status(file_.before(), ignored));
        const std::string what = had_file ? "put back what was in " + file_.path().string() + " before setup"
                                          : "remove " + file_.path().string() + ", which did not exist before setup";
        output_.err << (request_.dry_run ? "would " : "will ") << what
                    << (stops ? ", and stop and disable the service" : "") << '\n';
        if (request_.dry_run) return ExitCode::ok;
        if (terminal_ != nullptr && !request_.yes && !confirmed("Do this?")) return ExitCode::failure;
        // Before the file, so that a command that is killed in between can be repeated.
        if (stops && !systemctl({"disable", "--now", service}))
            return output_.fail(ExitCode::failure, "the service was not stopped: nothing was restored",
                                "journalctl -u flowd-cpp");
        const auto kept = file_.restore();
        if (!kept) return output_.fail(kept.error());
        if (serves_ && !stops && systemctl({"is-active", "--quiet", service}))
            (void)systemctl({"reload-or-restart", service});
        output_.out << (had_file ? "restored " : "removed ") << file_.path().string() << '\n';
        if (!kept->empty()) output_.out << "left: " << kept->string() << ", the file of setup as it was changed since\n";
        for (fs::directory_iterator entry(file_.path().parent_path(), ignored), end; !ignored && entry != end;
             entry.increment(ignored))
            if (entry->path().string().rfind(file_.before().string(), 0) == 0)
                output_.out << "left: " << entry->path().string() << ", an older copy\n";
        if (is_default_) output_.out << "left: the packages, the user flowd-cpp, and /var/lib/flowd-cpp\n";
        return ExitCode::ok;
    }

  private:
    void note(const std::string& text) { output_.err << "note: " << text << '\n'; }

    void note_if_enabled(const std::string& unit) {
        if (systemctl({"is-enabled", "--quiet", unit}))
            note(unit + " is enabled and would run instead of flowd-cpp after a boot: systemctl disable " + unit);
    }

    /// A reason on this host not to continue; empty if there is none.
    std::optional<ExitCode> look_at_host() {
        const auto notes = MigrationNotes::load(installation_.paths().share() / "migration.yaml");
        if (!notes) return output_.fail(notes.error());
        const auto found = find_predecessor(notes->predecessors());
        if (found && found->own_network) note(found->to_string() + " with a network of its own: it does not matter here");
        if (found && !found->own_network) {
            if (!request_.no_start && !request_.dry_run) return output_.fail(found->to_error());
            note(found->to_error().message);
        }
        if (serves_)
            for (const std::string& name : notes->predecessors()) note_if_enabled(name + ".service");
        const auto& questions = request_.profile->questions;
        if (std::none_of(questions.begin(), questions.end(),
                         [](const Question& one) { return one.choice == Question::Choice::interfaces; }))
            return std::nullopt;
        auto nics = list_nics();
        if (!nics) return output_.fail(nics.error());
        nics_ = std::move(*nics);
        if (!nics_.empty()) return std::nullopt;
        return output_.fail(ExitCode::absent, "this host has no network interface but lo",
                            "run setup where the interfaces are: in the network namespace of the host, not of a container");
    }

    std::optional<ExitCode> answer_all() {
        for (const Question& question : request_.profile->questions) {
            const auto given = request_.answers.find(question.name);
            const std::string suggested = given != request_.answers.end() ? given->second : default_of(question);
            std::string answer;
            const bool asks = terminal_ != nullptr && !request_.yes && question.asked && given == request_.answers.end();
            for (;;) {
                answer =
                    suggested.empty() && given != request_.answers.end() && question.may_be_none() ? "none" : suggested;
                if (asks && !ask(question, answer)) {
                    output_.err << "\nnothing was changed\n";
                    return ExitCode::failure;
                }
                if (answer.empty() && !question.asked) break;
                const auto wrong = judge_answer(question, answer);
                if (!wrong) break;
                const ExitCode code = output_.fail(*wrong);
                if (!asks) return wrong->code == FLOWD_INVALID ? ExitCode::usage : code;
            }
            if (!answer.empty()) answers_[question.name] = answer;
        }
        return std::nullopt;
    }

    /// The present value in the configuration; else the value detected on the host; else the default of the profile.
    std::string default_of(const Question& question) {
        if (present_) {
            Problems ignored;
            const auto root = read_yaml(*present_, file_.path().string(), ignored);
            const YamlNode* const node = root ? node_at(*root, question.option) : nullptr;
            if (node != nullptr && node->kind == YamlNode::Kind::scalar) return node->text;
            if (node != nullptr && node->kind == YamlNode::Kind::sequence) {
                std::vector<std::string> items;
                for (const YamlNode& item : node->items) items.push_back(item.text);
                return joined(items, ",");
            }
            if (question.may_be_none() && SetupFile::stamp_of(*present_)) return "none";
        }
        if (question.choice != Question::Choice::interfaces) return question.fallback;
        const std::vector<std::string> named =
            question.from.empty() ? std::vector<std::string>() : nic_names_of(question.from);
        if (!named.empty()) note("interfaces of " + question.from);
        return joined(named.empty() ? likely_nics(nics_) : named, ",");
    }

    /// Why the answer is not valid; empty if it is.
    std::optional<Error> judge_answer(const Question& question, const std::string& answer) {
        const std::string option = "--" + question.name;
        if (words_of(answer).empty())
            return Error{FLOWD_INVALID, option + " is missing: " + question.text,
                         question.choice == Question::Choice::experiment
                             ? "`flowd-cpp setup --list-experiments` lists the experiments"
                             : "flowd-cpp setup " + request_.profile->name + " " + option + " ..."};
        if (question.choice == Question::Choice::interfaces)
            for (const std::string& name : words_of(answer))
                if (std::none_of(nics_.begin(), nics_.end(), [&](const Nic& nic) { return nic.is_called(name); }))
                    return Error{FLOWD_NOT_FOUND, printable(name) + " is not an interface of this host",
                                 "there are " + nic_list()};
        Profile::Answers answers = answers_;
        answers[question.name] = answer;
        const auto loaded =
            installation_.parse(request_.profile->configured(answers, installation_.registry()), request_.profile->name);
        for (const Problem& problem : loaded.problems)
            if (problem.level == FLOWD_LEVEL_ERROR && problem.path.rfind(question.option, 0) == 0)
                return Error{FLOWD_INVALID,
                             option + ": " + printable(answer) + ": " + problem.message +
                                 (problem.allowed.empty() ? "" : " (allowed: " + problem.allowed + ")"),
                             problem.hint};
        return std::nullopt;
    }

    std::string nic_list() const {
        std::vector<std::string> names;
        for (const Nic& nic : nics_) names.push_back(nic.name);
        return joined(names, ", ");
    }

    /// False: end of input without an answer.
    bool ask(const Question& question, std::string& answer) {
        std::vector<std::string> choices;
        output_.out << '\n';
        if (question.choice == Question::Choice::interfaces)
            for (const Nic& nic : nics_) {
                choices.push_back(nic.name);
                output_.out << "  " << choices.size() << "  " << nic.to_string() << '\n';
            }
        const auto& experiments = installation_.registry().experiments();
        if (question.choice == Question::Choice::experiment) list_experiments();
        if (question.choice == Question::Choice::activity)
            if (const auto known = experiments.find(experiment_id()); known != experiments.end())
                for (const auto& [id, name] : known->second.activities)
                    output_.out << "  " << id << (id < 10 ? "   " : "  ") << name << '\n';
        output_.out << question.text << (question.may_be_none() ? " (or none)" : "")
                    << (answer.empty() ? "" : " [" + printable(answer) + "]") << ": " << std::flush;
        std::string line;
        if (!std::getline(*terminal_, line)) return false;
        line.erase(line.find_last_not_of(" \t\r") + 1);
        line.erase(0, line.find_first_not_of(" \t"));
        if (line.empty()) return true;
        std::vector<std::string> words = choices.empty() ? std::vector<std::string>{line} : words_of(line);
        for (std::string& word : words) {  // an answer is the number of a row, or its name
            const auto number = whole_number<std::size_t>(word);
            if (number && *number >= 1 && *number <= choices.size()) word = choices[*number - 1];
        }
        answer = joined(words, ",");
        return true;
    }

    std::uint32_t experiment_id() const {
        for (const Question& question : request_.profile->questions) {
            const auto answer = answers_.find(question.name);
            if (question.choice != Question::Choice::experiment || answer == answers_.end()) continue;
            if (const auto id = whole_number<std::uint32_t>(answer->second)) return *id;
            return installation_.registry().experiment_id(answer->second).value_or(0);
        }
        return 0;
    }

    bool confirmed(const char* question) {
        output_.out << question << " [Y/n]: " << std::flush;
        std::string line;
        return std::getline(*terminal_, line) && (line.empty() || line[0] == 'y' || line[0] == 'Y');
    }

    /// Checks the text like `check` at its final path, with the files of conf.d.
    ExitCode judge(const std::string& text) {
        LoadedConfiguration loaded;
        std::error_code ignored;
        const bool makes_directory = request_.dry_run && !fs::exists(file_.path().parent_path(), ignored);
        const auto prepared = makes_directory ? Result<void>(Error{FLOWD_NOT_FOUND, ""}) : file_.prepare(text);
        if (prepared) {
            loaded = installation_.load(file_.candidate(), {true, {}});
            file_.discard();
        } else if (request_.dry_run) {  // the user has no permission to write there
            loaded = installation_.parse(text, file_.path().string());
        } else {
            return output_.fail(prepared.error());
        }
        std::string problems = loaded.problems.to_string();
        const std::string candidate = file_.candidate().string();
        for (std::size_t at = problems.find(candidate); at != std::string::npos; at = problems.find(candidate, at))
            problems.replace(at, candidate.size(), file_.path().string());
        output_.err << problems;
        bool drop_ins = false;
        for (fs::directory_iterator entry(file_.path().parent_path() / "conf.d", ignored), end; !ignored && entry != end;
             entry.increment(ignored))
            if (entry->path().extension() == ".yaml") {
                drop_ins = true;
                note(entry->path().string() + " is read as well, and stays as it is");
            }
        if (loaded.configuration) return ExitCode::ok;
        const ExitCode code = exit_code_of(loaded.problems);
        output_.err << "nothing was changed: this configuration is not usable"
                    << (drop_ins ? "; if a file of conf.d contradicts it, move that away" : "") << '\n';
        return code == ExitCode::ok ? ExitCode::failure : code;
    }

    void tell_of_host() {
        if (nics_.empty()) return;
        bool ipv4 = false, chosen_any = false;
        for (const Question& question : request_.profile->questions) {
            if (question.choice != Question::Choice::interfaces) continue;
            const std::vector<std::string> patterns = words_of(answers_[question.name]);
            for (const Nic& nic : nics_) {
                const bool chosen = std::any_of(patterns.begin(), patterns.end(),
                                                [&](const std::string& pattern) { return nic.is_called(pattern); });
                if (chosen && !nic.global_ipv6)
                    note(nic.name +
                         " has no global IPv6 address: only IPv6 packets have a flow label, so nothing is marked there");
                if (!chosen && !nic.addresses.empty()) note("not chosen: " + nic.to_string());
                chosen_any = chosen_any || chosen;
            }
        }
        for (const Nic& nic : nics_)
            ipv4 = ipv4 || std::any_of(nic.addresses.begin(), nic.addresses.end(),
                                       [](const std::string& address) { return address.find(':') == std::string::npos; });
        if (chosen_any && !ipv4) note("this host has no IPv4 address: the collector has to have an IPv6 address");
    }

    void tell_plan(bool changes) {
        std::error_code ignored;
        const auto stamp = present_ ? SetupFile::stamp_of(*present_) : std::nullopt;
        const std::string path = file_.path().string();
        const char* const will = request_.dry_run ? "would " : "";
        if (!changes)
            output_.err << path << " is as it should be\n";
        else if (file_.exists() && !(stamp && stamp->intact))
            output_.err << will << "keep " << path << " as " << file_.before().string() << ", and write a new one\n";
        else
            output_.err << will << "write " << path << '\n';
        if (serves_ && !request_.no_start) output_.err << will << "enable and start the service, and verify\n";
    }

    ExitCode start(bool changed) {
        if (!is_default_) {
            output_.err << "not started: the service reads " << GlobalOptions().conf << "; flowd-cpp run --conf "
                        << file_.path().string() << '\n';
            return ExitCode::ok;
        }
        if (request_.no_start) {
            output_.err << "not started: systemctl enable --now flowd-cpp\n";
            return ExitCode::ok;
        }
        if (!serves_) {
            output_.err << "not started: no systemd runs here; start the daemon with `flowd-cpp run`\n";
            return ExitCode::ok;
        }
        if (!systemctl({"enable", "--quiet", service}) || !systemctl({changed ? "reload-or-restart" : "start", service}))
            return output_.fail(ExitCode::failure, "the service did not start with the new configuration",
                                "journalctl -u flowd-cpp; `flowd-cpp setup --remove` restores what was there");
        output_.out << "the service runs with " << file_.path().string() << '\n' << std::flush;
        std::error_code ignored;
        const int verdict = run_program({fs::read_symlink("/proc/self/exe", ignored).string(), "verify"});
        return verdict < 2 ? ExitCode::ok : ExitCode::failure;
    }

    const Output& output_;
    const SetupRequest& request_;
    std::istream* const terminal_;
    Installation installation_;
    SetupFile file_;
    const bool serves_;      ///< the service on this host reads the file
    const bool is_default_;  ///< the service would read it, if systemd ran
    std::optional<std::string> present_;
    std::vector<Nic> nics_;
    Profile::Answers answers_;
};

}  // namespace

ExitCode set_up(const GlobalOptions& options, const Output& output, const SetupRequest& request, std::istream* terminal) {
    Setup setup(options, output, request, terminal);
    if (request.list_experiments) return setup.list_experiments();
    return request.remove ? setup.remove() : setup.run();
}

}  // namespace flowd::core::cli
