// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/surroundings.hpp"

#include <net/if.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <system_error>

#include "lib/net/own_sockets.hpp"
#include "lib/netlink/interface.hpp"

namespace flowd::netlink {
namespace fs = std::filesystem;
namespace {

void add_interfaces(Surroundings& out) {
    net::visit_interfaces([&](const char* name, const std::optional<Address>& address) {
        auto& interface = out.interfaces[name];
        interface.index = ::if_nametoindex(name);
        if (address) interface.addresses.push_back(*address);
    });
}

/// A rule may give the alternative name of an interface.
void add_alternative_name(Surroundings& out, const std::string& name) {
    if (name.empty() || out.interfaces.contains(name)) return;
    const std::uint32_t index = nl::interface_index(name);
    for (const auto& [known, interface] : out.interfaces) {
        if (index == 0 || interface.index != index) continue;
        out.interfaces.emplace(name, interface);
        return;
    }
}

/// In cgroup2 the id of a group is the inode number of its directory (cgroup_ino in include/linux/cgroup.h).
void add_group(Surroundings& out, const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) out.cgroups[status.st_ino] = path;
}

void add_groups(Surroundings& out, const std::string& top, std::size_t most) {
    std::error_code error;
    if (!fs::is_directory(top, error)) return;
    add_group(out, top);
    for (fs::recursive_directory_iterator it(top, fs::directory_options::skip_permission_denied, error), end;
         !error && it != end && out.cgroups.size() < most; it.increment(error))
        if (it->is_directory(error)) add_group(out, it->path());
}

}  // namespace

Surroundings look_around(const Rules& rules, std::size_t most) {
    Surroundings out;
    bool interfaces = false;
    for (const Rule& rule : rules.list()) {
        interfaces = interfaces || !rule.interface.empty();
        if (!rule.cgroup.empty()) add_groups(out, rule.cgroup, most);
    }
    if (!interfaces) return out;
    add_interfaces(out);
    for (const Rule& rule : rules.list()) add_alternative_name(out, rule.interface);
    return out;
}

const std::vector<Network>& private_networks() {
    static const std::vector<Network> networks = [] {
        std::vector<Network> list;
        for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
                                 "fc00::/7", "fe80::/10", "::1"})
            list.push_back(Network::parse(text).value());
        return list;
    }();
    return networks;
}

}  // namespace flowd::netlink
