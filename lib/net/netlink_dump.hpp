// SPDX-License-Identifier: Apache-2.0
// lib/net/netlink_dump.hpp: asks the kernel for a list and reads the answer (netlink(7), rtnetlink(7), sock_diag(7)).
// One thread at a time for each socket.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <functional>
#include <memory>

#include "flowd/result.hpp"

namespace flowd::net {

using NetlinkVisitor = std::function<void(const nlmsghdr& message, const std::byte* body, std::size_t size)>;

/// Sends `request`, a whole message, and calls `each` for each message of the answer. A list that changed while the kernel
/// told it (NLM_F_DUMP_INTR), or of which a part was dropped (ENOBUFS), is asked for again, a few times: `restart` is
/// called before, so that what `each` was told of it can be forgotten; where telling a thing twice does no harm it may be
/// empty. An error means that the list is incomplete. Flags and sequence number of the request are filled in; the number is
/// not to be reset between two dumps of one socket.
Result<void> netlink_dump(int fd, nlmsghdr& request, const NetlinkVisitor& each, const std::function<void()>& restart);

/// A socket for dumps: the kernel answers at once or not at all, so a read waits for a second at most.
void limit_waiting(int fd);

}  // namespace flowd::net
