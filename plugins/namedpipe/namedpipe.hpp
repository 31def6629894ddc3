// SPDX-License-Identifier: Apache-2.0
// The namedpipe plugin: announces the flows that other programs write, line by line, into a named pipe.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/publisher.hpp"
#include "flowd/unique_fd.hpp"
#include "plugins/namedpipe/line.hpp"

namespace flowd::namedpipe {

struct Options {
    std::filesystem::path pipe_path;
    std::uint32_t buff_size = 65536;
    std::uint32_t max_readers = 5;
    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

/// A named pipe, held open for reading and writing, so that it never ends and no writer ever meets it closed.
class Pipe {
  public:
    /// Opens the pipe at `path`, or makes it there with mode 0666. Never removes anything. FLOWD_BUSY: something else is
    /// at that path.
    [[nodiscard]] static Result<Pipe> at(const std::filesystem::path& path);
    /// Takes over a descriptor that systemd or a predecessor held. FLOWD_INVALID: it is not a pipe.
    [[nodiscard]] static Result<Pipe> adopted(UniqueFd fd);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Whether `path` still leads to this pipe.
    [[nodiscard]] bool is_at(const std::filesystem::path& path) const;
    /// Permission bits.
    [[nodiscard]] unsigned mode() const { return mode_; }

  private:
    explicit Pipe(UniqueFd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] Result<void> settle();

    UniqueFd fd_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    unsigned mode_ = 0;
};

/// Back-pressure: when the bus is full, reading stops until there is room. Meanwhile the pipe takes 1 MiB, then writers
/// wait.
///
/// The path is looked at once a second. Where the pipe was removed (flowd-go does so when it stops), a new one is made;
/// the old one is read on, for writers like NGINX that hold it open.
class NamedPipe final : public Plugin {
  public:
    using Options = namedpipe::Options;
    static constexpr Info info{.name = "namedpipe",
                               .summary = "Announces the flows that programs write into a named pipe.",
                               .aliases = {"namedPipe", "np"},
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    NamedPipe(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> reconfigure(Options options);
    Result<void> stop(Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(json::Writer& object) const override;

  private:
    /// Reads per wake-up, so that timers and commands are not delayed under load.
    static constexpr int reads_per_turn = 8;
    /// Pipes that were replaced at the path and are still read.
    static constexpr std::size_t most_former = 4;
    /// After this a line without its newline is dropped: it may be half of one, and the next writer's would be joined to
    /// it.
    static constexpr std::chrono::seconds patience{5};

    struct Reader {
        explicit Reader(Pipe opened) : pipe(std::move(opened)) {}
        Pipe pipe;
        LineBuffer lines{longest_line};
        std::chrono::seconds quiet{0};  ///< since the last byte
        Watch readable;                 // behind the pipe: ends before its descriptor does
    };

    [[nodiscard]] Result<std::unique_ptr<Reader>> open(const std::filesystem::path& path) const;
    [[nodiscard]] Result<void> watch(Reader& reader);
    void on_readable(Reader& reader);
    /// True when there may be more in the pipe.
    bool read_once(Reader& reader);
    /// Announces the lines that are in the buffer; false when reading has to stop.
    bool announce(Reader& reader);
    void take(std::string_view text, bool too_long);
    void refuse(Refusal refusal, std::string_view text);
    /// Reads what is in the pipe and takes what has no newline for refused. False: something is left in it.
    bool empty(Reader& reader, const Deadline& deadline);
    /// Takes what is left out of the buffer and the pipe. Answers how many lines it was.
    [[nodiscard]] std::uint64_t unread(Reader& reader);
    /// Reads no further while the bus is full.
    void read_on(bool has_room);
    void look_around();
    void look_at_path();
    void drop_rests();

    Options options_;
    std::string resource_;                         ///< "fifo:/run/flowd"
    std::deque<std::unique_ptr<Reader>> readers_;  ///< the first is the one at the path
    Outbox outbox_{host(), [this](bool has_room) { read_on(has_room); }};

    std::uint64_t bytes_ = 0;
    std::uint64_t lines_ = 0;
    std::array<std::uint64_t, refusal_names.size()> refused_{};
    std::uint64_t replaced_ = 0;
    std::uint64_t abandoned_ = 0;  ///< former pipes that are no longer read
    std::string last_error_;

    Counters counters_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { look_around(); }};
};

}  // namespace flowd::namedpipe
