// SPDX-License-Identifier: Apache-2.0
// lib/http/listening.hpp: listening sockets, new ones and ones that were handed over. Any thread.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::http {

/// Port 0: the kernel chooses. `::` takes IPv4 as well.
[[nodiscard]] Result<UniqueFd> listen_tcp(const Endpoint& local);
/// Replaces a socket that nobody listens at any more, and nothing else. The file stays when the socket is closed.
[[nodiscard]] Result<UniqueFd> listen_unix(const std::filesystem::path& path, mode_t mode);
/// What systemd or a predecessor held, made ready. FLOWD_INVALID: it does not listen.
[[nodiscard]] Result<UniqueFd> listen_again(UniqueFd fd);
/// Where a TCP socket listens.
[[nodiscard]] Endpoint local_endpoint(int fd);

}  // namespace flowd::http
