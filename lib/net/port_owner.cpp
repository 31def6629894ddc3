// SPDX-License-Identifier: Apache-2.0
#include "lib/net/port_owner.hpp"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "flowd/number.hpp"
#include "lib/diag/process.hpp"

namespace flowd::net {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view listening = "0A";  // TCP_LISTEN, in hexadecimal

struct Holders {
    std::set<std::string> sockets;  ///< "socket:[4711]", as links in /proc/PID/fd show them
    std::string uid;                ///< owner of one of them
};

/// Adds those of /proc/net/tcp and the like, whose columns proc(5) describes.
void read_table(const std::string& file, bool tcp, std::uint16_t port, Holders& holders) {
    std::ifstream table("/proc/thread-self/net/" + file);
    std::string line;
    std::getline(table, line);  // headings
    while (std::getline(table, line)) {
        std::istringstream words(line);
        std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
        if (!(words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode))
            continue;
        const std::size_t colon = local.rfind(':');
        if (colon == std::string::npos) continue;
        if (whole_number<unsigned>(std::string_view(local).substr(colon + 1), 16) != port || (tcp && state != listening))
            continue;
        holders.sockets.insert("socket:[" + inode + "]");
        holders.uid = uid;
    }
}

bool holds_one_of(const fs::path& process, const std::set<std::string>& sockets) {
    std::error_code error;
    for (fs::directory_iterator entry(process / "fd", error), end; !error && entry != end; entry.increment(error)) {
        std::error_code gone;
        if (sockets.contains(fs::read_symlink(entry->path(), gone).native())) return true;
    }
    return false;
}

std::string describe(const fs::path& process) {
    const std::string name = diag::name_of(process), unit = diag::unit_of(process);
    return (name.empty() ? "process" : name) + " (pid " + process.filename().native() + (unit.empty() ? "" : ", " + unit) +
           ")";
}

}  // namespace

std::string port_in_use_hint(Transport transport, std::uint16_t port) {
    const bool tcp = transport == Transport::tcp;
    Holders holders;
    for (const char* family : {"", "6"}) read_table((tcp ? "tcp" : "udp") + std::string(family), tcp, port, holders);
    const std::string command = std::string("ss -l") + (tcp ? "t" : "u") + "np 'sport = :" + std::to_string(port) + "'";
    if (holders.sockets.empty()) return "see who has it: " + command;
    std::error_code error;
    for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().native();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        if (!holds_one_of(entry->path(), holders.sockets)) continue;
        if (name == std::to_string(::getpid())) return "another instance of this daemon has it: choose another port";
        return describe(entry->path()) + " has it: stop that, or choose another port";
    }
    return "a process of the user " + holders.uid + " has it; as root, see which: " + command;
}

}  // namespace flowd::net
