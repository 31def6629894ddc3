// SPDX-License-Identifier: Apache-2.0
// The protocol of the control socket: one request and one reply per connection.
//   request  u32 length, then `length` bytes: the arguments, separated by NUL ("status", or "marker\0mode\0observe")
//   reply    u32 length, then i32 exit code and length - 4 bytes: one JSON value
// Integers are little-endian; a length counts what follows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/exit_codes.hpp"

namespace flowd::core::control {

inline constexpr const char* default_path = "/run/flowd-cpp/control";
inline constexpr std::size_t max_request = 64 * 1024;
inline constexpr std::size_t max_reply = 64 * 1024 * 1024;
inline constexpr std::size_t max_arguments = 256;

using Arguments = std::vector<std::string>;

/// The result of a command. On failure `json` is {"error": "...", "hint": "..."}.
struct Reply {
    ExitCode code = ExitCode::ok;
    std::string json = "null";

    [[nodiscard]] static Reply failure(ExitCode code, std::string_view message, std::string_view hint = {});
};

[[nodiscard]] std::string encode_request(const Arguments& arguments);
[[nodiscard]] std::string encode_reply(const Reply& reply);

/// The arguments in the body of a request; empty if it has no arguments, too many, or an empty first one.
[[nodiscard]] std::optional<Arguments> decode_request(std::string_view body);
/// The reply in a body; empty if the body is shorter than an exit code.
[[nodiscard]] std::optional<Reply> decode_reply(std::string_view body);

/// Assembles one frame from pieces of any size. Memory is allocated as bytes arrive, not by the announced length.
class FrameReader {
  public:
    enum class State { more, complete, refused };

    explicit FrameReader(std::size_t limit) : limit_(limit) {}

    /// `refused`: the length is 0 or above the limit, or bytes follow the frame. Final.
    [[nodiscard]] State add(std::string_view bytes);
    [[nodiscard]] std::string_view body() const { return std::string_view(buffer_).substr(4); }

  private:
    std::size_t limit_;
    bool refused_ = false;
    std::string buffer_;
};

}  // namespace flowd::core::control
