// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/runner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "flowd/unique_fd.hpp"

namespace flowd::check {

namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
using Verdict = Outcome::Verdict;

constexpr std::size_t max_message = 4096;

/// Memory that parent and child share.
class SharedProgress {
  public:
    SharedProgress()
        : memory_(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
        new (memory_) Progress;
    }
    SharedProgress(const SharedProgress&) = delete;
    SharedProgress& operator=(const SharedProgress&) = delete;
    ~SharedProgress() { ::munmap(memory_, sizeof(Progress)); }
    Progress& operator*() const { return *std::launder(static_cast<Progress*>(memory_)); }

  private:
    void* memory_;
};

/// The temporary directory of one check, with all that the module wrote. It outlives a check that crashes.
class Directory {
  public:
    Directory() {
        std::error_code error;
        std::string name = (fs::temp_directory_path(error) / "flowd-module-check-XXXXXX").string();
        if (!error && ::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~Directory() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

[[noreturn]] void be_the_child(const Plan& plan, Progress& progress, int answer) {
    // What a module prints must not look like this program's report.
    const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (null) (void)::dup2(null.get(), STDOUT_FILENO);
    Outcome outcome;
    try {
        Subject subject(plan.target, progress);
        outcome = plan.check.run(subject);
    } catch (const std::exception& exception) {
        outcome = Outcome::fail(fmt::format("the check itself failed: {}", exception.what()));
    }
    std::string text(1, static_cast<char>('0' + static_cast<int>(outcome.verdict)));
    text += outcome.unusable ? '1' : '0';
    text += outcome.message.substr(0, max_message - 1);
    (void)!::write(answer, text.data(), text.size());
    // Not exit: what the module registered to run then is not under check, and it may hang.
    ::_exit(0);
}

std::string death(int status, const Progress& progress) {
    if (WIFSIGNALED(status)) {
        const char* name = ::sigabbrev_np(WTERMSIG(status));
        return fmt::format("it crashed{} (SIG{})", progress.where(), name != nullptr ? name : "?");
    }
    return fmt::format("it ended the process{} (status {})", progress.where(), WEXITSTATUS(status));
}

/// What the child wrote before its end, or before the limit.
std::string listen(int answer, SteadyClock::time_point end, bool& in_time) {
    std::string text;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - SteadyClock::now()).count();
        pollfd waiting{answer, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) {
            in_time = false;
            return text;
        }
        char buffer[max_message];
        const ssize_t count = ::read(answer, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

}  // namespace

std::string Plan::name() const {
    if (target.kind == 0) return std::string(check.name);
    return fmt::format("{} {}/{}", check.name, core::kind_name(target.kind), target.component);
}

std::vector<Plan> plan(const Subject::Target& target, const std::string& filter) {
    std::vector<Check> suite;
    for (auto part : {module_checks, life_checks, event_checks, core_checks, extension_checks})
        for (const Check& check : part()) suite.push_back(check);
    const auto wanted = [&](const Plan& one) {
        return filter.empty() || ::fnmatch(filter.c_str(), one.name().c_str(), 0) == 0 ||
               ::fnmatch(filter.c_str(), std::string(one.check.name).c_str(), 0) == 0;
    };
    std::vector<Plan> plans;
    const auto add = [&](Plan one) {
        if (wanted(one)) plans.push_back(std::move(one));
    };
    for (const Check& check : suite)
        if (check.kinds == 0) add({check, target});
    if (const auto note = core::read_note(target.module))
        for (const core::NoteComponent& component : note->components)
            for (const Check& check : suite)
                if ((check.kinds & (1u << component.kind)) != 0)
                    add({check, {target.module, component.kind, component.name, target.conf, target.registry}});
    return plans;
}

Ran run(const Plan& plan, std::chrono::milliseconds limit) {
    Ran ran{plan.name(), std::string(plan.check.promise), {}, {}};
    const Directory directory;
    if (directory.path().empty()) {
        ran.outcome = Outcome::fail("no directory for the check");
        return ran;
    }
    const SharedProgress progress;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        ran.outcome = Outcome::fail("no pipe for the check");
        return ran;
    }
    const UniqueFd answer(ends[0]);
    UniqueFd tell(ends[1]);
    const SteadyClock::time_point begin = SteadyClock::now();
    const pid_t child = ::fork();
    if (child == 0) {
        (void)::setenv("TMPDIR", directory.path().c_str(), 1);
        be_the_child(plan, *progress, tell.get());
    }
    tell.reset();
    if (child < 0) {
        ran.outcome = Outcome::fail("no process for the check");
        return ran;
    }
    bool in_time = true;
    const std::string text = listen(answer.get(), begin + limit, in_time);
    if (!in_time) (void)::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ran.took = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - begin);
    if (!in_time)
        ran.outcome =
            Outcome::fail(fmt::format("it did not return{} within {} s", (*progress).where(), limit.count() / 1000));
    else if (text.size() < 2 || status != 0)
        ran.outcome = Outcome::fail(death(status, *progress));
    else
        ran.outcome = {static_cast<Verdict>(text[0] - '0'), text.substr(2), text[1] == '1'};
    return ran;
}

std::vector<Ran> run(const std::vector<Plan>& plans, std::chrono::milliseconds limit,
                     const std::function<void(const Ran&)>& each) {
    std::vector<Ran> results;
    std::set<std::pair<std::uint32_t, std::string>> unusable;  // the module as a whole is kind 0
    for (const Plan& plan : plans) {
        const std::pair component(plan.target.kind, plan.target.component);
        if (unusable.count(component) != 0 || unusable.count({0, {}}) != 0) {
            results.push_back({plan.name(), std::string(plan.check.promise), Outcome::skip({}), {}});
        } else {
            results.push_back(run(plan, limit));
            if (results.back().outcome.unusable) unusable.insert(component);
        }
        each(results.back());
    }
    return results;
}

}  // namespace flowd::check
