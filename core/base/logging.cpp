// SPDX-License-Identifier: Apache-2.0
#include "core/base/logging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <mutex>

#include "core/base/text.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

namespace {

/// Whether stderr is the journal's stream: JOURNAL_STREAM is "DEVICE:INODE" of it (systemd.exec(5)).
bool writes_to_journal(int fd) {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(fd, &status) != 0) return false;
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

/// Priorities of syslog(3).
char priority_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
        case spdlog::level::err:
            return '3';
        case spdlog::level::warn:
            return '4';
        case spdlog::level::info:
            return '6';
        default:
            return '7';
    }
}

std::string_view word_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
        case spdlog::level::err:
            return "error";
        case spdlog::level::warn:
            return "warning";
        case spdlog::level::info:
            return "info";
        case spdlog::level::debug:
            return "debug";
        default:
            return "trace";
    }
}

/// A descriptor of the same pipe or terminal that never blocks. A new open file description: O_NONBLOCK on the inherited
/// one would hold for every process that shares it. Empty where there is none to be had.
UniqueFd reopen_without_blocking(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || (!S_ISFIFO(status.st_mode) && ::isatty(fd) != 1)) return {};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    return UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

/// Writes without waiting for a reader. Not bound to a thread, not thread-safe.
class Output {
  public:
    explicit Output(int fd) : fd_(fd), own_(reopen_without_blocking(fd)) {
        struct stat status {};
        is_socket_ = ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
    }

    /// How many bytes were taken; fewer than there are when the reader is slow or gone.
    std::size_t write(std::string_view text) const {
        std::size_t done = 0;
        while (done < text.size()) {
            const ssize_t count = write_some(text.substr(done));
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

  private:
    [[nodiscard]] ssize_t write_some(std::string_view text) const {
        if (is_socket_) return ::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (own_) return ::write(own_.get(), text.data(), text.size());
        // A pipe that is ready takes PIPE_BUF bytes.
        pollfd entry{fd_, POLLOUT, 0};
        if (::poll(&entry, 1, 0) == 0) return 0;
        return ::write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    }

    int fd_;
    UniqueFd own_;
    bool is_socket_ = false;
};

/// One write for each line, so that lines of several processes do not mix. Written by hand because a line's prefix
/// depends on where it goes, and a text of several lines needs it on each. Lines that do not fit into the
/// pipe are lost: a thread that logs, such as the main thread, does not wait for the reader.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    LineSink(int fd, bool journal, bool time) : output_(fd), journal_(journal), time_(time && !journal) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        std::string_view text(message.payload.data(), message.payload.size());
        if (lost_ > 0 && !write(line(loss(message), loss_text()))) return void(++lost_);
        lost_ = 0;
        std::string out;
        do {
            const std::size_t end = text.find('\n');
            out += line(message, printable(text.substr(0, end)));  // it may contain text of remote senders
            text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        } while (!text.empty());
        if (!write(out)) ++lost_;
    }

    static spdlog::details::log_msg loss(const spdlog::details::log_msg& next) {
        spdlog::details::log_msg message = next;
        message.level = spdlog::level::warn;
        message.logger_name = {};
        return message;
    }
    [[nodiscard]] std::string loss_text() const {
        return fmt::format("{} log lines before this one were lost: nobody read them in time", lost_);
    }

    [[nodiscard]] bool write(const std::string& text) {
        if (torn_ && output_.write("\n") == 0) return false;
        const std::size_t written = output_.write(text);
        torn_ = written > 0 && written < text.size();
        return written == text.size();
    }

    [[nodiscard]] std::string line(const spdlog::details::log_msg& message, std::string_view text) const {
        std::string out;
        begin(out, message);
        out += text;
        out += '\n';
        return out;
    }
    void flush_() override {}

    void begin(std::string& out, const spdlog::details::log_msg& message) const {
        if (journal_) {
            out += '<';
            out += priority_of(message.level);
            out += '>';
        } else {
            if (time_)
                out += utc_text(std::chrono::nanoseconds(message.time.time_since_epoch()).count(), Fraction::microseconds) +
                       ' ';
            out += '[';
            out += word_of(message.level);
            out += "] ";
        }
        if (message.logger_name.size() > 0) {
            out += '[';
            out.append(message.logger_name.data(), message.logger_name.size());
            out += "] ";
        }
    }
    const Output output_;
    const bool journal_;
    const bool time_;
    std::uint64_t lost_ = 0;
    bool torn_ = false;  ///< the last line was taken in part
};

}  // namespace

std::optional<spdlog::level::level_enum> parse_log_level(std::string_view word) {
    if (word == "trace") return spdlog::level::trace;
    if (word == "debug") return spdlog::level::debug;
    if (word == "info") return spdlog::level::info;
    if (word == "warning" || word == "warn") return spdlog::level::warn;
    if (word == "error") return spdlog::level::err;
    return std::nullopt;
}

spdlog::level::level_enum to_spdlog(flowd_level level) {
    if (level >= FLOWD_LEVEL_ERROR) return spdlog::level::err;
    if (level >= FLOWD_LEVEL_WARNING) return spdlog::level::warn;
    if (level >= FLOWD_LEVEL_INFO) return spdlog::level::info;
    return level >= FLOWD_LEVEL_DEBUG ? spdlog::level::debug : spdlog::level::trace;
}

Logging::Logging(const LogOptions& options)
    : level_(options.level),
      sink_(std::make_shared<LineSink>(options.fd, options.journal.value_or(writes_to_journal(options.fd)), options.time)) {
}

std::shared_ptr<spdlog::logger> Logging::logger(const std::string& name) const {
    auto logger = std::make_shared<spdlog::logger>(name, sink_);
    logger->set_level(level_);
    return logger;
}

}  // namespace flowd::core
