// SPDX-License-Identifier: Apache-2.0
// lib/bpf/rtnetlink.hpp: interfaces, routes and addresses of this network namespace, as rtnetlink(7) tells them.
// A Netlink belongs to one thread; the free functions open a socket of their own.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::bpf {

struct Link {
    int index = 0;
    std::string name;
    std::uint16_t hardware = 0;  ///< ARPHRD_* of linux/if_arp.h
    int master = 0;              ///< index of the bond or bridge that it is a port of; 0: none
    int lower = 0;               ///< of a VLAN, macvlan and the like: index of the interface that it stands on; 0: none
};

/// One socket of the ROUTE family.
class Netlink {
  public:
    /// `groups`: bits RTMGRP_* of the notifications it receives. Of routes only default ones are told.
    [[nodiscard]] static Result<Netlink> open(std::uint32_t groups = 0);

    [[nodiscard]] int fd() const { return fd_.get(); }  ///< non-blocking when it has groups

    /// Asks for all objects of a kind and calls back for each. `body` follows the message's header. `restart`: forget what
    /// was told, they changed meanwhile and are told again.
    Result<void> dump(std::uint16_t type, const void* body, std::size_t size,
                      const std::function<void(const nlmsghdr&)>& each, const std::function<void()>& restart);
    /// Throws away the notifications that have come. That there were any, or that some were lost, is all that is said.
    bool drain();
    /// Calls back for each notification that has come. False: some were lost.
    bool receive(const std::function<void(const nlmsghdr&)>& each);

  private:
    explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
    std::uint32_t sequence_ = 0;
};

/// Calls back for each attribute of [first, first + length).
void for_each_attribute(const void* first, std::size_t length, const std::function<void(const rtattr&)>& each);
[[nodiscard]] std::string text_of(const rtattr& attribute);
[[nodiscard]] std::uint32_t number_of(const rtattr& attribute);

[[nodiscard]] Result<std::vector<Link>> links();
enum class RouteFamily { ipv6, both };
/// Interfaces that a default route of any table leads to.
[[nodiscard]] Result<std::set<int>> default_route_links(RouteFamily family);
/// Interfaces with an IPv6 address of 2000::/3 (global unicast, RFC 4291 section 2.4 and the IANA registry).
[[nodiscard]] Result<std::set<int>> public_address_links();

}  // namespace flowd::bpf
