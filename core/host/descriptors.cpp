// SPDX-License-Identifier: Apache-2.0
#include "core/host/descriptors.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace flowd::core {

namespace {

std::string inet_name(const char* protocol, const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &address, sizeof in);
        ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        return std::string(protocol) + ":" + text + ":" + std::to_string(ntohs(in.sin_port));
    }
    sockaddr_in6 in6{};
    std::memcpy(&in6, &address, sizeof in6);
    ::inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
    return std::string(protocol) + ":[" + text + "]:" + std::to_string(ntohs(in6.sin6_port));
}

std::string socket_name(int fd) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
    int type = 0;
    socklen_t type_length = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) != 0) return {};
    if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
        if (type == SOCK_DGRAM) return inet_name("udp", address);
        if (type == SOCK_STREAM) return inet_name("tcp", address);
        return {};
    }
    if (address.ss_family == AF_UNIX && length > offsetof(sockaddr_un, sun_path)) {
        sockaddr_un local{};
        std::memcpy(&local, &address, sizeof local);
        if (local.sun_path[0] != '\0')
            return "unix:" + std::string(local.sun_path, ::strnlen(local.sun_path, sizeof local.sun_path));
    }
    return {};
}

std::string path_of(int fd) {
    std::array<char, 4096> path{};
    const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
    return length > 0 && path[0] == '/' ? std::string(path.data(), static_cast<std::size_t>(length)) : std::string();
}

}  // namespace

std::string descriptor_name(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return {};
    if (S_ISSOCK(status.st_mode)) return socket_name(fd);
    if (S_ISFIFO(status.st_mode)) {
        const std::string path = path_of(fd);
        return path.empty() ? path : "fifo:" + path;
    }
    return {};
}

std::string encode_fdname(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && c != ':' && c != '%') {
            out += c;
            continue;
        }
        char text[4];
        std::snprintf(text, sizeof text, "%%%02X", byte);
        out += text;
    }
    return out;
}

std::string decode_fdname(std::string_view name) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                      : -1;
    };
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '%' && i + 2 < name.size() && digit(name[i + 1]) >= 0 && digit(name[i + 2]) >= 0) {
            out += static_cast<char>(digit(name[i + 1]) * 16 + digit(name[i + 2]));
            i += 2;
        } else {
            out += name[i];
        }
    }
    return out;
}

std::size_t DescriptorStore::adopt_from_systemd() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        const char* name = names != nullptr && names[i] != nullptr ? names[i] : "";
        adopt(decode_fdname(name), UniqueFd(SD_LISTEN_FDS_START + i));
        if (names != nullptr) std::free(names[i]);  // NOLINT: allocated with malloc by libsystemd
    }
    std::free(static_cast<void*>(names));  // NOLINT
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void DescriptorStore::adopt(std::string_view name, UniqueFd fd) {
    // Sockets are looked up by address, because systemd may name them after a unit; descriptors of modules by their name.
    const std::string resource = descriptor_name(fd.get());
    const std::lock_guard lock(mutex_);
    if (!resource.empty() && name.find(resource) == std::string_view::npos) {
        // Sockets that share an address are numbered.
        std::string alias = resource;
        for (int number = 1; entries_.count(alias) != 0; ++number) alias = resource + "/" + std::to_string(number);
        if (auto copy = UniqueFd::duplicate(fd.get())) entries_[alias].adopted = std::move(*copy);
    }
    entries_[std::string(name)].adopted = std::move(fd);
}

Result<UniqueFd> DescriptorStore::take(Holder taker, std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return Error{FLOWD_NOT_FOUND, "no descriptor is kept for " + std::string(name)};
    const auto& kept = found->second.kept;
    if (!kept.empty() && kept.back().holder != taker && making_way_.count(kept.back().holder) == 0)
        return Error{FLOWD_BUSY, std::string(name) + " is used by another instance"};
    return UniqueFd::duplicate(found->second.fd());
}

Result<void> DescriptorStore::keep(Holder holder, std::string_view name, int fd) {
    if (name.empty() || name.size() > 200) return Error{FLOWD_INVALID, "the name of a kept descriptor has 1 to 200 bytes"};
    auto copy = UniqueFd::duplicate(fd);
    if (!copy) return std::move(copy).error();
    bool replaces = false;
    {
        const std::lock_guard lock(mutex_);
        auto& kept = entries_[std::string(name)].kept;
        replaces = !kept.empty();
        kept.erase(std::remove_if(kept.begin(), kept.end(), [&](const Kept& one) { return one.holder == holder; }),
                   kept.end());
        kept.push_back({holder, std::move(*copy)});
    }
    if (replaces && observer_.dropped) observer_.dropped(std::string(name));
    if (observer_.stored) observer_.stored(std::string(name), fd);
    return {};
}

DescriptorStore::Entries::iterator DescriptorStore::let_go(Entries::iterator entry, Holder holder,
                                                           std::vector<Change>& changes) {
    auto& kept = entry->second.kept;
    const auto own = std::find_if(kept.begin(), kept.end(), [&](const Kept& one) { return one.holder == holder; });
    if (own == kept.end()) return std::next(entry);
    const bool was_in_force = std::next(own) == kept.end();
    kept.erase(own);
    if (was_in_force) {
        Change& change = changes.emplace_back(Change{entry->first, {}});
        if (!kept.empty())
            if (auto copy = UniqueFd::duplicate(kept.back().fd.get())) change.now = std::move(*copy);
    }
    return entry->second.empty() ? entries_.erase(entry) : std::next(entry);
}

void DescriptorStore::tell(const std::vector<Change>& changes) const {
    for (const Change& change : changes) {
        if (observer_.dropped) observer_.dropped(change.name);
        if (change.now && observer_.stored) observer_.stored(change.name, change.now.get());
    }
}

void DescriptorStore::forget(Holder holder, std::string_view name) {
    std::vector<Change> changes;
    {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(name);
        if (found != entries_.end()) (void)let_go(found, holder, changes);
    }
    tell(changes);
}

void DescriptorStore::release(Holder holder) {
    std::vector<Change> changes;
    {
        const std::lock_guard lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end();) entry = let_go(entry, holder, changes);
        making_way_.erase(holder);
    }
    tell(changes);
}

void DescriptorStore::make_way(Holder holder) {
    const std::lock_guard lock(mutex_);
    making_way_.insert(holder);
}

void DescriptorStore::stay(Holder holder) {
    const std::lock_guard lock(mutex_);
    making_way_.erase(holder);
}

std::vector<std::string> DescriptorStore::names() const {
    std::vector<std::string> names;
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
}

}  // namespace flowd::core
