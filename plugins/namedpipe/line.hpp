// SPDX-License-Identifier: Apache-2.0
// The format of a line: STATE PROTOCOL SOURCE PORT DESTINATION PORT EXPERIMENT ACTIVITY; and splitting a byte stream into
// lines.
// Sources: the READMEs of flowd and flowd-go, StoRM WebDAV's SciTagTransfer.java and its log format for NGINX.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flowd/abi/event.h"

namespace flowd::namedpipe {

/// Why a line is refused. New reasons are appended: the names are values of a metric's label.
enum class Refusal : std::uint8_t {
    none,          ///< accepted
    too_long,      ///< longer than `longest_line`
    field_count,   ///< not eight fields
    bad_state,     ///< not start, end or ongoing
    bad_protocol,  ///< not tcp or udp
    bad_address,   ///< not an address literal, or the unspecified address
    bad_family,    ///< IPv4 at one end and IPv6 at the other
    bad_port,      ///< not a number up to 65535
    port_zero,     ///< port 0 is a wildcard, not a flow
    bad_tag,       ///< an id that is not `-` or a 32-bit number
    unterminated,  ///< without a newline
};

inline constexpr std::array<std::string_view, 11> refusal_names{"none",         "too_long",    "field_count", "bad_state",
                                                                "bad_protocol", "bad_address", "bad_family",  "bad_port",
                                                                "port_zero",    "bad_tag",     "unterminated"};

[[nodiscard]] constexpr std::string_view name_of(Refusal refusal) {
    return refusal_names[static_cast<std::size_t>(refusal)];
}

/// PIPE_BUF: a longer write is not atomic, so that another writer's line could be inserted into it (pipe(7)).
inline constexpr std::size_t longest_line = 4096;

/// `kind` is FLOWD_EVENT_START, FLOWD_EVENT_ONGOING or FLOWD_EVENT_END.
struct Line {
    std::uint32_t kind = 0;
    flowd_key key{};
    flowd_tag tag{};
};

/// Whether `text` contains only white space.
[[nodiscard]] bool is_blank(std::string_view text);

/// Fields are whitespace-separated and case-insensitive; addresses in the forms of Address::parse. An id of `-` is
/// missing, which makes the tag 0/0. With Refusal::none `line` is set; otherwise its content is unspecified.
[[nodiscard]] Refusal parse(std::string_view text, Line& line);

/// Splits a byte stream into lines. Holds the bytes of one read and at most one unfinished line of `longest` bytes. A
/// longer line is discarded and reported once.
class LineBuffer {
  public:
    explicit LineBuffer(std::size_t longest) : longest_(longest) {}

    /// The buffer for the next `size` bytes. Invalidates all lines that next() has returned.
    [[nodiscard]] std::span<char> space(std::size_t size) {
        if (begin_ > 0) {
            std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
            end_ -= begin_;
            scanned_ -= begin_;
            begin_ = 0;
        }
        if (bytes_.size() < end_ + size) bytes_.resize(end_ + size);
        return {bytes_.data() + end_, size};
    }
    void filled(std::size_t size) { end_ += size; }

    /// The next line without its newline, or nothing if it is not complete. A line that is too long is returned as
    /// `too_long` and empty.
    struct Cut {
        std::string_view text;
        bool too_long = false;
    };
    [[nodiscard]] std::optional<Cut> next() {
        while (begin_ < end_) {
            const auto* newline = static_cast<const char*>(std::memchr(bytes_.data() + scanned_, '\n', end_ - scanned_));
            if (newline == nullptr) {
                scanned_ = end_;
                if (!dropping_ && end_ - begin_ <= longest_) return std::nullopt;
                begin_ = scanned_ = end_ = 0;
                if (dropping_) return std::nullopt;
                dropping_ = true;
                return Cut{{}, true};
            }
            const std::string_view line(bytes_.data() + begin_, static_cast<std::size_t>(newline - bytes_.data()) - begin_);
            begin_ = scanned_ = static_cast<std::size_t>(newline - bytes_.data()) + 1;
            if (dropping_) {
                dropping_ = false;
                continue;
            }
            return line.size() > longest_ ? Cut{{}, true} : Cut{line, false};
        }
        begin_ = scanned_ = end_ = 0;
        return std::nullopt;
    }

    /// The unfinished line.
    [[nodiscard]] std::string_view unfinished() const { return {bytes_.data() + begin_, end_ - begin_}; }
    void drop_unfinished() { begin_ = scanned_ = end_ = 0; }

  private:
    std::vector<char> bytes_;
    std::size_t begin_ = 0;    ///< of the first line that next() has not returned
    std::size_t scanned_ = 0;  ///< there is no newline between begin_ and this
    std::size_t end_ = 0;
    std::size_t longest_;
    bool dropping_ = false;  ///< inside a line that was reported as too long
};

}  // namespace flowd::namedpipe
