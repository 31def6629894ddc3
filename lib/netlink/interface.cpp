// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/interface.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "lib/netlink/message.hpp"
#include "lib/netlink/socket.hpp"

namespace flowd::nl {
namespace {

constexpr std::size_t longest_name = 127;  // ALTIFNAMSIZ of linux/if.h, without the NUL

/// Whether a message RTM_NEWLINK has this alternative name.
bool has_alternative(const Message& message, std::string_view name) {
    bool found = false;
    message.attributes(sizeof(ifinfomsg), [&](const Attribute& attribute) {
        if (attribute.type() != IFLA_PROP_LIST) return;
        for_each_attribute(attribute.bytes(), [&](const Attribute& property) {
            found = found || (property.type() == IFLA_ALT_IFNAME && property.text() == name);
        });
    });
    return found;
}

}  // namespace

bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_name && name != "." && name != ".." &&
           name.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

std::optional<Problem> check_interface_name(const std::string& name) {
    const auto bare_end = name.find_first_of("@:");
    const std::string bare = name.substr(0, bare_end);
    if (bare_end != std::string::npos && is_interface_name(bare)) {
        if (name[bare_end] == '@')
            return Problem{{}, "is how `ip link` shows an interface and its peer", "write " + bare, name};
        return Problem{{}, "is an alias of " + bare + ", not an interface", "write " + bare, name};
    }
    if (bare_end != std::string::npos || !is_interface_name(name))
        return Problem{{}, "is not a valid name of an interface", "`ip -brief link` lists them", name};
    return std::nullopt;
}

std::uint32_t interface_index(const std::string& name) {
    if (name.size() < IFNAMSIZ) return ::if_nametoindex(name.c_str());  // the kernel searches alternative names as well
    auto socket = is_interface_name(name) ? Socket::open(NETLINK_ROUTE) : Result<Socket>(Error{});
    if (!socket) return 0;
    std::uint32_t index = 0;
    const auto listed = socket->dump(
        RTM_GETLINK, ifinfomsg{},
        [&](const Message& message) {
            const auto* const link = message.body<ifinfomsg>();
            if (message.type() == RTM_NEWLINK && link != nullptr && has_alternative(message, name))
                index = static_cast<std::uint32_t>(link->ifi_index);
        },
        [&index] { index = 0; });
    return listed ? index : 0;
}

}  // namespace flowd::nl
