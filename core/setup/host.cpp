// SPDX-License-Identifier: Apache-2.0
#include "core/setup/host.hpp"

#include <fnmatch.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>

#include "flowd/address.hpp"
#include "flowd/number.hpp"
#include "lib/diag/process.hpp"
#include "lib/netlink/interface.hpp"
#include "lib/netlink/routes.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

int speed_of(const std::string& name) {
    std::ifstream file("/sys/class/net/" + name + "/speed");
    int speed = 0;  // -1 or unreadable if the interface has no speed
    return file >> speed && speed > 0 ? speed : 0;
}

int prefix_of(const sockaddr* mask) {
    if (mask == nullptr) return 0;
    const auto* const bytes =
        mask->sa_family == AF_INET6
            ? reinterpret_cast<const sockaddr_in6*>(mask)->sin6_addr.s6_addr
            : reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(mask)->sin_addr);
    int bits = 0;
    for (std::size_t i = 0; i < (mask->sa_family == AF_INET6 ? 16u : 4u); ++i) bits += __builtin_popcount(bytes[i]);
    return bits;
}

void add_address(Nic& nic, const ifaddrs& entry) {
    if (entry.ifa_addr->sa_family == AF_INET) {
        const auto* const bytes =
            reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(entry.ifa_addr)->sin_addr);
        std::string text;
        for (int i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + std::to_string(bytes[i]);
        nic.addresses.push_back(text + "/" + std::to_string(prefix_of(entry.ifa_netmask)));
        return;
    }
    const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
    if (IN6_IS_ADDR_LINKLOCAL(&address)) return;
    nic.global_ipv6 = true;
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET6, &address, text, sizeof text);
    nic.addresses.push_back(std::string(text) + "/" + std::to_string(prefix_of(entry.ifa_netmask)));
}

/// The name of the daemon that this process is; empty if it is none of them. An interpreter runs the Python ones.
std::string daemon_in(const fs::path& process, const std::vector<std::string>& names) {
    std::vector<std::string> called{diag::name_of(process)};
    const std::vector<std::string> words = diag::words_of(process);
    if (words.empty()) return {};  // a zombie
    called.push_back(fs::path(words[0]).filename());
    if (words.size() > 1 && called.back().starts_with("python")) called.push_back(fs::path(words[1]).filename());
    const auto found = std::find_first_of(called.begin(), called.end(), names.begin(), names.end());
    return found == called.end() ? std::string() : *found;
}

fs::path namespace_of(const fs::path& process, const char* kind) {
    std::error_code ignored;
    return fs::read_symlink(process / "ns" / kind, ignored);
}

template <typename Wanted>
std::vector<std::string> names_where(const std::vector<Nic>& nics, Wanted wanted) {
    std::vector<std::string> names;
    for (const Nic& nic : nics)
        if (wanted(nic)) names.push_back(nic.name);
    return names;
}

}  // namespace

std::string Nic::to_string() const {
    std::string text = name + ": ";
    if (speed_mbps >= 1000)
        text += std::to_string(speed_mbps / 1000) + " Gb/s, ";
    else if (speed_mbps > 0)
        text += std::to_string(speed_mbps) + " Mb/s, ";
    for (const std::string& address : addresses) text += address + ", ";
    if (addresses.empty()) text += "no address, ";
    return text + (default_ipv6 && default_ipv4 ? "default route"
                   : default_ipv6               ? "default route (IPv6)"
                   : default_ipv4               ? "default route (IPv4)"
                                                : "no default route");
}

bool Nic::is_called(const std::string& wanted) const {
    return ::fnmatch(wanted.c_str(), name.c_str(), 0) == 0 || (index != 0 && nl::interface_index(wanted) == index);
}

Result<std::vector<Nic>> list_nics() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return Error::from_errno(errno, "listing interfaces");
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
    std::map<unsigned, Nic> nics;
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if ((entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
        const unsigned index = ::if_nametoindex(entry->ifa_name);
        Nic& nic = nics[index];
        nic.index = index;
        nic.name = entry->ifa_name;
        const int family = entry->ifa_addr == nullptr ? AF_UNSPEC : entry->ifa_addr->sa_family;
        if (family == AF_INET || family == AF_INET6) add_address(nic, *entry);
    }
    const auto routes = nl::default_routes(AF_UNSPEC);
    if (!routes) return routes.error();
    for (const nl::DefaultRoute& route : *routes)
        if (const auto nic = nics.find(static_cast<unsigned>(route.interface)); nic != nics.end())
            (route.family == AF_INET6 ? nic->second.default_ipv6 : nic->second.default_ipv4) = true;
    std::vector<Nic> all;
    for (auto& [index, nic] : nics) {
        nic.speed_mbps = speed_of(nic.name);
        all.push_back(std::move(nic));
    }
    return all;
}

std::vector<std::string> likely_nics(const std::vector<Nic>& nics) {
    auto names = names_where(nics, [](const Nic& nic) { return nic.default_ipv6; });
    if (names.empty()) names = names_where(nics, [](const Nic& nic) { return nic.default_ipv4; });
    if (names.empty()) names = names_where(nics, [](const Nic& nic) { return nic.global_ipv6; });
    return names.empty() ? names_where(nics, [](const Nic&) { return true; }) : names;
}

std::vector<std::string> nic_names_of(const fs::path& script) {
    std::ifstream stream(script);
    std::string text{std::istreambuf_iterator<char>(stream), {}}, word;
    std::vector<std::string> names;
    std::size_t begin = text.rfind("\nNIC_NAMES=(");  // the last assignment counts
    begin = begin == std::string::npos ? (text.rfind("NIC_NAMES=(", 0) == 0 ? 0 : begin) : begin + 1;
    if (begin == std::string::npos) return names;
    for (std::size_t at = text.find('(', begin) + 1; at < text.size() && text[at] != ')'; ++at) {
        const bool separates =
            text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '"' || text[at] == '\'';
        if (text[at] == '#') at = std::min(text.find('\n', at), text.size() - 1);
        if (!separates && text[at] != '\n') word.push_back(text[at]);
        const bool ends = separates || text[at] == '\n' || at + 1 >= text.size() || text[at + 1] == ')';
        if (ends && !word.empty()) names.push_back(std::exchange(word, {}));
    }
    return names;
}

std::string Predecessor::to_string() const {
    return name + " runs (process " + std::to_string(pid) + (unit.empty() ? "" : ", " + unit) +
           (in_container ? ", in a container" : "") + ")";
}

Error Predecessor::to_error() const {
    Error error{FLOWD_BUSY, to_string() + ": it cannot run beside flowd-cpp"};
    const std::string first = "`flowd-cpp migrate` prints what its configuration means here; then ";
    if (unit.ends_with(".service"))
        error.hint = first + "`systemctl disable --now " + unit + "`, and run setup again";
    else if (in_container)
        error.hint = first + "stop and remove its container, and run setup again";
    else
        error.hint = first + "`kill " + std::to_string(pid) + "`, and run setup again";
    return error;
}

std::optional<Predecessor> find_predecessor(const std::vector<std::string>& names, const fs::path& proc) {
    const fs::path self = proc / "self";
    std::optional<Predecessor> elsewhere;
    std::error_code error;
    for (fs::directory_iterator entry(proc, error), end; !error && entry != end; entry.increment(error)) {
        const fs::path& process = entry->path();
        const std::string number = process.filename().string();
        Predecessor found;
        const auto pid = whole_number<decltype(found.pid)>(number);
        if (!pid) continue;
        found.pid = *pid;
        found.name = daemon_in(process, names);
        if (found.name.empty()) continue;
        const auto differs = [&](const char* kind) {
            const fs::path its = namespace_of(process, kind);
            return !its.empty() && its != namespace_of(self, kind);  // only root may see those of other users
        };
        found.unit = diag::unit_of(process);
        // A service with a private mount namespace is not a container.
        found.in_container = differs("pid") || (differs("mnt") && !found.unit.ends_with(".service"));
        found.own_network = differs("net");
        if (!found.own_network) return found;
        elsewhere = found;
    }
    return elsewhere;
}

}  // namespace flowd::core
