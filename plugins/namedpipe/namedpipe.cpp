// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/namedpipe.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

#include "lib/text/summary.hpp"

namespace flowd::namedpipe {
namespace {

constexpr std::uint32_t usual_readers = 5;
/// The number of bytes that writers can write while nothing is read; the default limit of unprivileged users.
constexpr int capacity = 1 << 20;
constexpr mode_t mode_for_everybody = 0666;

[[nodiscard]] const char* kind_of(mode_t mode) {
    if (S_ISREG(mode)) return "a regular file";
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

/// StoRM WebDAV and NGINX create a regular file where the pipe is missing, and keep it open.
[[nodiscard]] std::string commands_for_a_pipe(const std::filesystem::path& path) {
    const std::string name = path.string();
    return "mv " + name + ' ' + name + ".old && mkfifo -m 0666 " + name +
           " && systemctl restart flowd-cpp; then restart the program that wrote the file (StoRM WebDAV, NGINX), because "
           "it "
           "has the file open";
}

[[nodiscard]] Error not_a_pipe(const std::filesystem::path& path, mode_t mode) {
    Error error{FLOWD_BUSY, path.string() + " is " + kind_of(mode) + ", not a named pipe"};
    if (S_ISREG(mode)) error.hint = commands_for_a_pipe(path);
    return error;
}

[[nodiscard]] std::vector<Finding> findings_at(const std::filesystem::path& path) {
    struct stat there {};
    if (::stat(path.c_str(), &there) != 0 || S_ISFIFO(there.st_mode)) return {};
    const Error error = not_a_pipe(path, there.st_mode);
    return {{FLOWD_LEVEL_ERROR, "namedpipe-not-a-pipe", path.string(), error.message, "a named pipe",
             error.hint.empty() ? "set another pipePath" : error.hint}};
}

[[nodiscard]] Result<void> create(const std::filesystem::path& path) {
    if (::mkfifo(path.c_str(), mode_for_everybody) == 0) {
        // Regardless of the umask: programs of every user must be able to write.
        if (::chmod(path.c_str(), mode_for_everybody) == 0) return {};
        return Error::from_errno(errno, "cannot open " + path.string() + " to every writer");
    }
    const int number = errno;
    struct stat link {};
    if (number == EEXIST && ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode))
        return Error{FLOWD_NOT_FOUND, path.string() + " is a symbolic link to something that is not there",
                     "set pipePath to where the link leads"};
    if (number == EEXIST) return {};  // another process created it first
    Error error = Error::from_errno(number, "cannot make the named pipe " + path.string());
    if (number == EACCES || number == EPERM || number == EROFS)
        error.hint = "let systemd make it: p " + path.string() + " 0666 root root in /etc/tmpfiles.d, or a socket unit";
    if (number == ENOENT) error.hint = "its folder does not exist";
    return error;
}

/// The deadline for draining a pipe that is then closed, so that a continuous writer does not delay the instance.
[[nodiscard]] Deadline drain_deadline() {
    return Deadline::in(std::chrono::seconds(1));
}

/// The path with all symbolic links resolved, as the kernel names the open pipe.
[[nodiscard]] std::filesystem::path resolved(const std::filesystem::path& path) {
    std::error_code error;
    auto whole = std::filesystem::canonical(path, error);
    if (!error) return whole;
    const auto folder = std::filesystem::canonical(path.parent_path(), error);
    return error ? path : folder / path.filename();
}

/// The name of its kept descriptor.
[[nodiscard]] std::string resource_of(const std::filesystem::path& path) {
    return "fifo:" + resolved(path).string();
}

[[nodiscard]] flowd_event to_event(const Line& line) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = line.kind;
    event.key = line.key;
    event.tag = line.tag;
    return event;
}

}  // namespace

const Table<Options>& Options::table() {
    static const Table<Options> table{
        option("pipePath", &Options::pipe_path)
            .default_value("/var/run/flowd")
            .doc("Path of the pipe. The pipe is created if it does not exist, and never removed."),
        option("buffSize", &Options::buff_size)
            .byte_size()
            .range(1, 1 << 20)
            .default_value("64 KiB")
            .doc("Size of a read. It does not limit the length of lines: a line may span several reads."),
        option("maxReaders", &Options::max_readers)
            .range(0, 1 << 20)
            .default_value(usual_readers)
            .doc("Accepted for configurations of flowd-go, without effect: one reader reads everything in order."),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    if (options.max_readers != usual_readers)
        problems.warning("maxReaders", "has no effect: one reader takes every line in order", "remove the line");
    if (!options.pipe_path.has_filename())
        problems.error("pipePath", "is a folder", "name the pipe in it: " + (options.pipe_path / "flowd").string());
}

Result<Pipe> Pipe::at(const std::filesystem::path& path) {
    struct stat there {};
    if (::stat(path.c_str(), &there) != 0) {
        if (errno != ENOENT) return Error::from_errno(errno, path.string());
        if (auto made = create(path); !made) return std::move(made).error();
    } else if (!S_ISFIFO(there.st_mode)) {
        return not_a_pipe(path, there.st_mode);
    }
    Pipe pipe(UniqueFd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)));
    if (!pipe.fd_) {
        const int number = errno;
        Error error = Error::from_errno(number, "cannot open the named pipe " + path.string());
        if (number == EACCES) error.hint = "its owner can let everybody write: chmod 0666 " + path.string();
        return error;
    }
    if (auto done = pipe.inspect(); !done) return std::move(done).error().within(path.string());
    return pipe;
}

Result<Pipe> Pipe::adopted(UniqueFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0) return Error::from_errno(errno, "a descriptor that was handed over");
    Pipe pipe(std::move(fd));
    if ((flags & O_ACCMODE) != O_RDWR) {
        const std::string self = "/proc/self/fd/" + std::to_string(pipe.fd());
        pipe.fd_.reset(::open(self.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        if (!pipe.fd_) return Error::from_errno(errno, "a named pipe that was handed over");
    } else if (::fcntl(pipe.fd(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return Error::from_errno(errno, "a named pipe that was handed over");
    }
    if (auto done = pipe.inspect(); !done) return std::move(done).error().within("a descriptor that was handed over");
    return pipe;
}

Result<void> Pipe::inspect() {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return Error::from_errno(errno, "fstat");
    if (!S_ISFIFO(status.st_mode)) return Error{FLOWD_INVALID, "it is not a named pipe"};
    device_ = status.st_dev;
    inode_ = status.st_ino;
    mode_ = status.st_mode & 07777u;
    (void)::fcntl(fd(), F_SETPIPE_SZ, capacity);  // may exceed the user's limit; then the capacity is unchanged
    return {};
}

bool Pipe::is_at(const std::filesystem::path& path) const {
    struct stat there {};
    return ::stat(path.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_;
}

std::vector<Finding> NamedPipe::findings() const {
    return findings_at(options_.pipe_path);
}

std::vector<Finding> NamedPipe::host_findings(const Options& options, const Offline&) {
    return findings_at(options.pipe_path);
}

NamedPipe::NamedPipe(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      counters_(
          host,
          {
              {"bytes", &bytes_},
              {"lines", "namedpipe_lines_total", "Lines read, except blank ones.", &lines_},
              {"announced", "namedpipe_events_total", "Flow events announced, by state.",
               Counters::by("state", Outbox::kinds, outbox_.taken(), 1)},
              {"refused", Counters::sum(refused_)},
              {"refusals", "namedpipe_refused_total", "Lines refused, by reason.",
               Counters::by("reason", refusal_names, refused_, 1).without_zeros()},
              {"notTaken", "namedpipe_not_taken_total", "Valid lines whose event the core refused.", &outbox_.refused()},
              {"paused", [this] { return outbox_.full(); }},
              {"pauses", "namedpipe_pauses_total", "How often reading stopped because the queues were full.",
               &outbox_.pauses()},
              {"replaced", &replaced_},
              {"abandoned", "namedpipe_abandoned_total", "Replaced pipes that are no longer read.", &abandoned_},
          }) {}

Result<std::unique_ptr<NamedPipe::Reader>> NamedPipe::open(const std::filesystem::path& path) const {
    UniqueFd handed = host().descriptors().take(resource_of(path));
    auto pipe = handed ? Pipe::adopted(std::move(handed)) : Pipe::at(path);
    if (!pipe) {
        Error error = std::move(pipe).error();
        error.option = "pipePath";
        return error;
    }
    // The path is resolved again, because the pipe may have been created only now.
    if (auto kept = host().descriptors().keep(resource_of(path), pipe->fd()); !kept) return std::move(kept).error();
    if ((pipe->mode() & 0222u) != 0222u) {
        char mode[16];
        std::snprintf(mode, sizeof mode, "%04o", pipe->mode());
        host().info(path.string() + " has mode " + mode + ": not every user can write into it");
    }
    return std::make_unique<Reader>(std::move(*pipe));
}

Result<void> NamedPipe::prepare() {
    auto reader = open(options_.pipe_path);
    if (!reader) return std::move(reader).error();
    resource_ = resource_of(options_.pipe_path);
    readers_.push_front(std::move(*reader));
    return {};
}

Result<void> NamedPipe::start() {
    if (auto watched = watch(*readers_.front()); !watched) return std::move(watched).error();
    if (auto done = publisher_.start(); !done) return done;
    host().info("reading " + options_.pipe_path.string());
    return {};
}

Result<void> NamedPipe::watch(Reader& reader) {
    auto readable = host().watch(reader.pipe.fd(), outbox_.full() ? 0u : static_cast<std::uint32_t>(FLOWD_IO_READ),
                                 [this, &reader](std::uint32_t) { on_readable(reader); });
    if (!readable) return std::move(readable).error();
    reader.readable = std::move(*readable);
    return {};
}

void NamedPipe::on_readable(Reader& reader) {
    for (int i = 0; i < reads_per_turn && !outbox_.full(); ++i)
        if (!read_once(reader)) return;
}

bool NamedPipe::read_once(Reader& reader) {
    const auto space = reader.lines.space(options_.buff_size);
    const ssize_t got = ::read(reader.pipe.fd(), space.data(), space.size());
    if (got <= 0) {
        if (got < 0 && errno != EAGAIN && errno != EINTR) last_error_ = Error::from_errno(errno, "read").message;
        return false;
    }
    reader.quiet = std::chrono::seconds(0);
    reader.lines.filled(static_cast<std::size_t>(got));
    bytes_ += static_cast<std::uint64_t>(got);
    return announce(reader);
}

bool NamedPipe::announce(Reader& reader) {
    while (!outbox_.full()) {
        const auto cut = reader.lines.next();
        if (!cut) return outbox_.flush();
        take_line(cut->text, cut->too_long);
    }
    return false;
}

void NamedPipe::take_line(std::string_view text, bool too_long) {
    if (!too_long && is_blank(text)) return;
    ++lines_;
    Line line;
    const auto refusal = too_long ? Refusal::too_long : parse(text, line);
    if (refusal == Refusal::none)
        outbox_.add(to_event(line));
    else
        refuse(refusal, text);
}

void NamedPipe::refuse(Refusal refusal, std::string_view text) {
    ++refused_[static_cast<std::size_t>(refusal)];
    host().refused(name_of(refusal), {}, text);
}

void NamedPipe::read_on(bool has_room) {
    for (const auto& reader : readers_)
        if (has_room && !announce(*reader)) return;
    for (const auto& reader : readers_) {
        if (!reader->readable) continue;  // the instance is stopping
        const std::uint32_t conditions = has_room ? FLOWD_IO_READ : 0;
        if (auto done = reader->readable.conditions(conditions); !done) last_error_ = done.error().message;
    }
}

void NamedPipe::look_around() {
    if (outbox_.full()) return;
    drop_rests();
    look_at_path();
}

void NamedPipe::drop_rests() {
    for (const auto& reader : readers_) {
        const auto rest = reader->lines.unfinished();
        if (is_blank(rest) || (reader->quiet += std::chrono::seconds(1)) < line_timeout) continue;
        ++lines_;
        refuse(Refusal::unterminated, rest);
        reader->lines.drop_unfinished();
    }
}

void NamedPipe::look_at_path() {
    if (readers_.front()->pipe.is_at(options_.pipe_path)) return;
    auto pipe = Pipe::at(options_.pipe_path);
    if (!pipe) {
        if (last_error_ != pipe.error().message) host().report(Problem::from(pipe.error()));
        last_error_ = pipe.error().message;
        return;
    }
    auto reader = std::make_unique<Reader>(std::move(*pipe));
    if (auto watched = watch(*reader); !watched) {
        last_error_ = watched.error().message;
        return;
    }
    host().warning(options_.pipe_path.string() + " was removed or replaced; reading the new pipe as well");
    ++replaced_;
    resource_ = resource_of(options_.pipe_path);
    if (auto kept = host().descriptors().keep(resource_, reader->pipe.fd()); !kept) last_error_ = kept.error().message;
    readers_.push_front(std::move(reader));
    if (readers_.size() <= 1 + max_replaced) return;
    ++abandoned_;
    drain(*readers_.back(), drain_deadline());
    readers_.pop_back();
    host().warning(options_.pipe_path.string() + " was replaced more than " + std::to_string(max_replaced) +
                   " times: the oldest pipe is no longer read, and programs that hold it open get an error; see who "
                   "removes the pipe");
}

bool NamedPipe::drain(Reader& reader, const Deadline& deadline) {
    while (!outbox_.full() && !deadline.passed() && read_once(reader)) {
    }
    if (outbox_.full()) return false;
    if (const auto rest = reader.lines.unfinished(); !is_blank(rest)) {
        ++lines_;
        refuse(Refusal::unterminated, rest);
        reader.lines.drop_unfinished();
    }
    int left = 0;
    return ::ioctl(reader.pipe.fd(), FIONREAD, &left) == 0 && left == 0;
}

std::uint64_t NamedPipe::discard_unread(Reader& reader) {
    const auto lines_in = [](std::string_view text) {
        return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    };
    std::uint64_t lines = lines_in(reader.lines.unfinished());
    reader.lines.drop_unfinished();
    int left = 0;
    if (::ioctl(reader.pipe.fd(), FIONREAD, &left) != 0) return lines;
    while (left > 0) {  // not more, because writers may continue
        const auto space = reader.lines.space(options_.buff_size);
        const ssize_t got = ::read(reader.pipe.fd(), space.data(), space.size());
        if (got <= 0) break;
        lines += lines_in({space.data(), static_cast<std::size_t>(got)});
        left -= static_cast<int>(got);
    }
    return lines;
}

Result<void> NamedPipe::reconfigure(Options options) {
    if (options.pipe_path != options_.pipe_path) {
        auto reader = open(options.pipe_path);
        if (!reader) return std::move(reader).error();
        readers_.push_front(std::move(*reader));
        if (auto watched = watch(*readers_.front()); !watched) {
            readers_.pop_front();
            return std::move(watched).error();
        }
        bool all = true;
        for (std::size_t i = 1; i < readers_.size(); ++i) all = drain(*readers_[i], drain_deadline()) && all;
        if (all) readers_.resize(1);  // otherwise their lines are announced first
        host().descriptors().forget(resource_);
        resource_ = resource_of(options.pipe_path);
    }
    options_ = std::move(options);
    return {};
}

Result<void> NamedPipe::stop(Deadline deadline) {
    for (const auto& reader : readers_) reader->readable.reset();
    for (const auto& reader : readers_) deadline.await([&] { return outbox_.drain() && drain(*reader, deadline); });
    std::uint64_t lost = outbox_.clear();
    host().descriptors().forget(resource_);
    const bool is_held = host().descriptors().held(resource_);  // the holder of the pipe continues to read it
    for (const auto& reader : readers_)
        if (!is_held || reader != readers_.front()) lost += discard_unread(*reader);
    readers_.clear();
    publisher_.stop();
    host().lost(lost, "lines were not announced before the stop");
    return {};
}

void NamedPipe::status(json::Writer& object) const {
    object.member("summary", text::summary("reads", {options_.pipe_path.string()}));
    object.member("path", options_.pipe_path.string());
    counters_.status(object);
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::namedpipe

FLOWD_MODULE(flowd::namedpipe::NamedPipe);
