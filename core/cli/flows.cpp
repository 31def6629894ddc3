// SPDX-License-Identifier: Apache-2.0
#include "core/cli/flows.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ostream>

#include "core/base/text.hpp"
#include "core/cli/flows_view.hpp"
#include "core/cli/interrupt.hpp"
#include "core/cli/member_text.hpp"
#include "core/cli/table.hpp"
#include "core/control/client.hpp"
#include "flowd/counted.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::array<std::string_view, 9> sorts{"rate", "bytes",  "sent",   "received",   "age",
                                                "tag",  "marked", "source", "destination"};
constexpr std::chrono::milliseconds follow_interval{200};
constexpr std::chrono::seconds watch_interval{1};

control::Arguments flows_words(const FlowsCommand& command) {
    control::Arguments words{"flows"};
    if (command.limit) words.push_back(std::to_string(*command.limit));
    if (command.ended) words.emplace_back("ended");
    if (!command.sort.empty()) words.push_back("sort=" + command.sort);
    if (!command.summary.empty()) words.push_back("summary=" + command.summary);
    if (!command.filter.empty()) words.push_back("filter=" + command.filter);
    return words;
}

struct Size {
    std::size_t columns = 80, rows = 24;
};

Size terminal_size(int fd) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
    return {size.ws_col, size.ws_row};
}

/// The alternate screen in raw mode; the destructor restores the terminal.
class Terminal {
  public:
    static Result<std::unique_ptr<Terminal>> open() {
        if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
            return Error{FLOWD_INVALID, "--watch needs a terminal", "without --watch the flows are printed once"};
        std::unique_ptr<Terminal> terminal(new Terminal);
        if (::tcgetattr(STDIN_FILENO, &terminal->before_) != 0) return Error::from_errno(errno, "tcgetattr");
        termios raw = terminal->before_;
        ::cfmakeraw(&raw);
        if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0) return Error::from_errno(errno, "tcsetattr");
        terminal->is_raw_ = true;
        terminal->write("\x1b[?1049h\x1b[?25l");
        return terminal;
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal() {
        if (!is_raw_) return;
        write("\x1b[?2026l\x1b[?25h\x1b[?1049l");
        (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }

    /// Each line is overwritten in place, and terminals that know synchronized output show all of them at once.
    void draw(std::string_view screen) {
        std::string out = "\x1b[?2026h\x1b[H";
        for (const char c : screen)
            if (c == '\n')
                out += "\x1b[K\r\n";
            else
                out.push_back(c);
        write(out + "\x1b[K\x1b[?2026l");
    }

  private:
    Terminal() = default;
    static void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
            if (count < 0 && errno != EINTR) return;
            if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    termios before_{};
    bool is_raw_ = false;
};

/// The answer of the daemon, or what is wrong.
Result<std::string> ask(const std::string& path, const control::Arguments& words) {
    auto reply = request_command(path, words);
    if (!reply) return std::move(reply).error();
    if (reply->code == ExitCode::ok) return std::move(reply->json);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(reply->json).get(root) != simdjson::SUCCESS) return Error{FLOWD_ERROR, reply->json};
    const bool is_usage = reply->code == ExitCode::usage;
    return Error{is_usage ? FLOWD_INVALID : FLOWD_ERROR, text_of(root, "error"), text_of(root, "hint")};
}

ExitCode watch_flows(const GlobalOptions& options, const Output& output, const FlowsCommand& command) {
    // First, because its thread must not inherit the signals.
    auto interrupt = Interrupt::listen();
    if (!interrupt) return output.fail(interrupt.error());
    auto terminal = Terminal::open();
    if (!terminal) return output.fail(ExitCode::usage, terminal.error().message, terminal.error().hint);
    const std::string path = control_path(options);
    FlowsWatch watch(command);
    Result<std::string> answer = std::string();
    auto due = std::chrono::steady_clock::now();
    for (;;) {
        const Size size = terminal_size(STDOUT_FILENO);
        const auto now = std::chrono::steady_clock::now();
        if (now >= due && !watch.is_paused()) {
            answer = ask(path, watch.question(size.rows));
        }
        if (now >= due) due = now + watch_interval;
        const std::string error =
            answer ? "" : answer.error().message + (answer.error().hint.empty() ? "" : "\n") + answer.error().hint;
        (*terminal)->draw(watch.screen(answer ? *answer : "", error, size.columns, size.rows));
        std::array<pollfd, 2> ready{{{STDIN_FILENO, POLLIN, 0}, {(*interrupt)->fd(), POLLIN, 0}}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
        if (::poll(ready.data(), ready.size(), static_cast<int>(std::max<std::int64_t>(left.count(), 0))) < 0 &&
            errno != EINTR)
            return ExitCode::failure;
        if (ready[1].revents != 0) return ExitCode::ok;
        if (ready[0].revents == 0) continue;
        std::array<char, 64> keys{};
        const ssize_t count = ::read(STDIN_FILENO, keys.data(), keys.size());
        if (count <= 0) return ExitCode::ok;  // the terminal is gone
        for (ssize_t i = 0; i < count; ++i) {
            const FlowsWatch::Next next = watch.key(keys[static_cast<std::size_t>(i)]);
            if (next == FlowsWatch::Next::end) return ExitCode::ok;
            if (next == FlowsWatch::Next::ask) due = std::chrono::steady_clock::now();
        }
    }
}

}  // namespace

control::Arguments FlowsWatch::question(std::size_t rows) const {
    FlowsCommand command = command_;
    command.limit = rows > 4 ? rows - 4 : 1;  // title, headings, totals, help
    return flows_words(command);
}

std::string FlowsWatch::screen(std::string_view json, std::string_view error, std::size_t columns, std::size_t rows) const {
    std::vector<std::string> lines;
    const auto add = [&](std::string_view text) {
        std::size_t at = 0;
        do {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            lines.push_back(shortened(text.substr(at, end - at), columns));
            at = end + 1;
        } while (at < text.size());
    };
    add(std::string(command_.ended ? "ended" : "live") + " flows by " + command_.sort +
        (command_.filter.empty() ? "" : ", filter: " + printable(command_.filter)) + (is_paused_ ? ", paused" : ""));
    if (!error.empty())
        add(printable(error));
    else
        add(flows_table(json, {columns, command_.wide, command_.ended, false}));
    lines.resize(std::max<std::size_t>(rows, 2) - 1);
    if (edited_)
        lines.push_back(shortened("filter: " + printable(*edited_) + "_", columns));
    else
        lines.push_back(shortened("q quit  s sort  e live or ended  / filter  p pause", columns));
    std::string out;
    for (const std::string& line : lines) out += (&line == &lines.front() ? "" : "\n") + line;
    return out;
}

FlowsWatch::Next FlowsWatch::key(char key) {
    constexpr char interrupt = 3, backspace = 8, escape = 27, rubout = 127;
    if (key == interrupt) return Next::end;
    if (edited_) {
        if (key == '\r' || key == '\n') {
            command_.filter = *std::exchange(edited_, std::nullopt);
            return Next::ask;
        }
        if (key == escape)
            edited_.reset();
        else if (key == backspace || key == rubout)
            edited_->resize(edited_->size() - std::min<std::size_t>(edited_->size(), 1));
        else if (static_cast<unsigned char>(key) >= ' ' && edited_->size() < 1024)
            edited_->push_back(key);
        return Next::wait;
    }
    switch (key) {
        case 'q':
            return Next::end;
        case 's': {
            const auto* const at = std::find(sorts.begin(), sorts.end(), command_.sort);
            command_.sort = at == sorts.end() || at + 1 == sorts.end() ? sorts.front() : *(at + 1);
            return Next::ask;
        }
        case 'e':
            command_.ended = !command_.ended;
            return Next::ask;
        case '/':
            edited_ = command_.filter;
            return Next::wait;
        case 'p':
            is_paused_ = !is_paused_;
            return is_paused_ ? Next::wait : Next::ask;
        default:
            return Next::wait;
    }
}

ExitCode show_flows(const GlobalOptions& options, const Output& output, const FlowsCommand& command, bool out_is_terminal) {
    if (command.watch) return watch_flows(options, output, command);
    FlowsCommand sorted = command;
    if (sorted.sort.empty() && sorted.format.empty() && !output.json) sorted.sort = "rate";
    const std::string format = command.format == "json" || output.json ? "json" : command.format;
    if (format == "json") return ask_daemon(options, Output{output.out, output.err, true, false}, flows_words(sorted));
    return ask_daemon(options, output, flows_words(sorted), [&](std::string_view json) {
        if (format == "jsonl") return flows_jsonl(json);
        if (format == "csv") return flows_csv(json);
        const std::size_t width = out_is_terminal ? terminal_size(STDOUT_FILENO).columns : 0;
        return flows_table(json, {width, command.wide, command.ended, output.colours});
    });
}

ExitCode observe(const GlobalOptions& options, const Output& output, const ObserveCommand& command) {
    const std::string path = control_path(options);
    const bool as_json = command.format == "jsonl" || output.json;
    const auto words = [&](std::optional<std::uint64_t> after) {
        control::Arguments all{"observe"};
        if (after)
            all.push_back("after=" + std::to_string(*after));
        else
            all.push_back("last=" + std::to_string(command.last.value_or(command.follow ? 0 : 20)));
        if (!command.filter.empty()) all.push_back("filter=" + command.filter);
        return all;
    };
    auto interrupt = Interrupt::listen();
    if (!interrupt) return output.fail(interrupt.error());
    std::optional<std::uint64_t> after;
    for (;;) {
        const auto reply = request_command(path, words(after));
        if (!reply) return output.fail(ExitCode::no_daemon, reply.error().message, reply.error().hint);
        if (reply->code != ExitCode::ok) return output.reply(*reply);
        const auto observed = observed_lines(reply->json, as_json);
        if (!observed) return output.fail(observed.error());
        if (after && observed->lost > 0)
            output.err << "flowd-cpp: lost " << counted(observed->lost, "event")
                       << ", which came faster than they were read\n";
        output.out << observed->lines << std::flush;
        if (!command.follow || !output.out) return ExitCode::ok;
        // While events wait, the next ones are fetched at once.
        const bool is_behind = after && observed->next - *after >= 10'000;
        after = observed->next;
        pollfd ready{(*interrupt)->fd(), POLLIN, 0};
        (void)::poll(&ready, 1, is_behind ? 0 : static_cast<int>(follow_interval.count()));
        if (ready.revents != 0) return ExitCode::ok;
    }
}

}  // namespace flowd::core::cli
