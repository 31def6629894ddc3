// SPDX-License-Identifier: Apache-2.0
// lib/http/listening.hpp: listening sockets, new or handed over. Any thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string_view>

#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::http {

/// Port 0: the kernel chooses. `::` accepts IPv4 as well.
[[nodiscard]] Result<UniqueFd> listen_tcp(const Endpoint& local);
/// Replaces the file of a socket on which no process listens any more, and no other file. Closing the socket does not
/// remove the file.
[[nodiscard]] Result<UniqueFd> listen_unix(const std::filesystem::path& path, mode_t mode);
/// "0660" as a mode; empty if it is not octal, or above 0777.
[[nodiscard]] std::optional<mode_t> mode_of(std::string_view text);
/// A socket that systemd or a predecessor held. FLOWD_INVALID: it does not listen.
[[nodiscard]] Result<UniqueFd> listen_again(UniqueFd fd);
/// The local endpoint of a TCP socket.
[[nodiscard]] Endpoint local_endpoint(int fd);

}  // namespace flowd::http
