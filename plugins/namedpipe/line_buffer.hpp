// SPDX-License-Identifier: Apache-2.0
// Lines out of a stream that comes in pieces. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace flowd::namedpipe {

/// Holds at most one unfinished line of `longest` bytes and what one read brought. A longer line is dropped up to its end
/// and reported once.
class LineBuffer {
  public:
    explicit LineBuffer(std::size_t longest) : longest_(longest) {}

    /// Where the next `size` bytes go; ends the life of every line handed out.
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

    /// The next line without its newline, or nothing before the rest has come. A line that is too long comes as
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

    /// The line that has no end yet.
    [[nodiscard]] std::string_view rest() const { return {bytes_.data() + begin_, end_ - begin_}; }
    void drop_rest() { begin_ = scanned_ = end_ = 0; }

  private:
    std::vector<char> bytes_;
    std::size_t begin_ = 0;    ///< of the first line not handed out
    std::size_t scanned_ = 0;  ///< no newline between begin_ and here
    std::size_t end_ = 0;
    std::size_t longest_;
    bool dropping_ = false;  ///< inside a line that was reported as too long
};

}  // namespace flowd::namedpipe
