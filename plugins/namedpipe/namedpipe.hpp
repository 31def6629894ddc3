// SPDX-License-Identifier: Apache-2.0
// The namedpipe plugin: announces the flows that programs write into a named pipe, one line per event.
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

/// A named pipe that is open for reading and writing: it never reports end of file, and writers always find a reader.
class Pipe {
  public:
    /// Opens the pipe at `path`, or creates it with mode 0666. Never removes anything. FLOWD_BUSY: there is another kind of
    /// file at that path.
    [[nodiscard]] static Result<Pipe> at(const std::filesystem::path& path);
    /// Takes over a descriptor from systemd or a predecessor. FLOWD_INVALID: it is not a pipe.
    [[nodiscard]] static Result<Pipe> adopted(UniqueFd fd);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Whether this pipe is the file at `path`.
    [[nodiscard]] bool is_at(const std::filesystem::path& path) const;
    /// Permission bits.
    [[nodiscard]] unsigned mode() const { return mode_; }

  private:
    explicit Pipe(UniqueFd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] Result<void> inspect();

    UniqueFd fd_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    unsigned mode_ = 0;
};

/// Back-pressure: while the bus is full, nothing is read. The pipe buffers up to 1 MiB, then writers
/// block.
///
/// The path is checked once a second. If the pipe was removed (flowd-go removes it when it stops), a new one is created;
/// the old one is still read, for programs like NGINX that keep it open.
class NamedPipe final : public Plugin {
  public:
    using Options = namedpipe::Options;
    static constexpr Info info{.name = "namedpipe",
                               .summary = "Announces the flows that programs write into a named pipe.",
                               .aliases = {"namedPipe", "np"},
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    NamedPipe(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    [[nodiscard]] std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> reconfigure(Options options);
    Result<void> stop(Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(json::Writer& object) const override;

  private:
    /// Reads per wake-up, so that timers and commands are not delayed under load.
    static constexpr int reads_per_turn = 8;
    /// Limit of replaced pipes that are still read.
    static constexpr std::size_t max_replaced = 4;
    /// An unfinished line is refused after this time: it may be incomplete, and the next writer's line would be appended to
    /// it.
    static constexpr std::chrono::seconds line_timeout{5};

    struct Reader {
        explicit Reader(Pipe opened) : pipe(std::move(opened)) {}
        Pipe pipe;
        LineBuffer lines{longest_line};
        std::chrono::seconds quiet{0};  ///< time since the last byte
        Watch readable;                 // declared after the pipe: destroyed before its descriptor is closed
    };

    [[nodiscard]] Result<std::unique_ptr<Reader>> open(const std::filesystem::path& path) const;
    [[nodiscard]] Result<void> watch(Reader& reader);
    void on_readable(Reader& reader);
    /// True if there may be more in the pipe.
    bool read_once(Reader& reader);
    /// Announces the lines in the buffer. False: reading has to stop.
    bool announce(Reader& reader);
    void take_line(std::string_view text, bool too_long);
    void refuse(Refusal refusal, std::string_view text);
    /// Announces the lines in the pipe and refuses an unfinished line. False: the pipe is not empty.
    bool drain(Reader& reader, const Deadline& deadline);
    /// Discards the lines left in the buffer and the pipe. Returns their number.
    [[nodiscard]] std::uint64_t discard_unread(Reader& reader);
    /// Stops reading while the bus is full, then continues.
    void read_on(bool has_room);
    void look_around();
    void look_at_path();
    void drop_rests();

    Options options_;
    std::string resource_;                         ///< "fifo:/run/flowd"
    std::deque<std::unique_ptr<Reader>> readers_;  ///< the first one is that at the path
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
