// SPDX-License-Identifier: Apache-2.0
#include "core/service/logging.hpp"

#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "core/service/text.hpp"

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

/// One write for each line, so that lines of several processes do not mix. Written by hand because a line's prefix
/// depends on where it goes, and a text of several lines needs it on each.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    LineSink(int fd, bool journal, bool time) : fd_(fd), journal_(journal), time_(time && !journal) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        std::string_view text(message.payload.data(), message.payload.size());
        std::string out;
        do {
            const std::size_t end = text.find('\n');
            begin(out, message);
            out += printable(text.substr(0, end));  // what others sent may stand in it
            out += '\n';
            text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        } while (!text.empty());
        for (std::string_view rest = out; !rest.empty();) {
            const ssize_t written = ::write(fd_, rest.data(), rest.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return;  // nowhere left to complain to
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
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
    const int fd_;
    const bool journal_;
    const bool time_;
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
