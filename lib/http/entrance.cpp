// SPDX-License-Identifier: Apache-2.0
#include "lib/http/entrance.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "lib/http/listening.hpp"
#include "lib/http/problem.hpp"
#include "lib/http/reason.hpp"
#include "lib/net/no_ipv6.hpp"

namespace flowd::http {
namespace {

[[nodiscard]] Error blaming(Error error, const char* option) {
    error.option = option;
    return error;
}

}  // namespace

EntranceOptions::EntranceOptions() = default;

Limits EntranceOptions::limits(std::size_t max_body) const {
    Limits limits;
    limits.max_connections = max_connections;
    limits.max_body = max_body;
    limits.request_timeout = request_timeout;
    limits.idle_timeout = idle_timeout;
    return limits;
}

void EntranceOptions::validate(std::string_view danger, Problems& problems) const {
    if (bind_address.is_multicast())
        problems.error("bindAddress", "is a multicast address, on which a server cannot listen",
                       "use an address of this host, or \"::\"");
    if (bind_address.is_link_local() && !bind_address.is_v4())
        problems.error("bindAddress", "is a link-local address, which needs an interface, and none can be given here",
                       "use another address of this host, or \"::\"");
    if (!bind_address.is_loopback() && !token)
        problems.error(
            "tokenFile",
            "is required: " + bind_address.to_string() + " is not loopback, so other hosts could " + std::string(danger),
            "create one: openssl rand -hex 32 > /etc/flowd-cpp/token; chmod 0640 /etc/flowd-cpp/token");
    if (token && !Bearer::is_token(*token))
        problems.error("token", "is not a token: 16 to 512 visible characters", "create one: openssl rand -hex 32");
}

Entrance::Entrance(Host& host, const EntranceOptions& options) : host_(host), options_(options) {
    if (options_.token) bearer_.emplace(*options_.token);
}

template <typename Make>
Result<UniqueFd> Entrance::open(const std::string& resource, const char* option, UniqueFd handed, Make make) {
    auto socket = handed ? listen_again(std::move(handed)) : make();
    if (!socket) return blaming(std::move(socket).error(), option);
    if (auto kept = host_.descriptors().keep(resource, socket->get()); !kept) return std::move(kept).error();
    return socket;
}

Result<UniqueFd> Entrance::open_tcp(std::uint16_t port, const char* option) {
    const Endpoint endpoint{options_.bind_address, port};
    const std::string resource = "tcp:" + endpoint.to_string();
    auto socket = open(resource, option, host_.descriptors().take(resource), [&] {
        const auto at = net::listening_endpoint(endpoint);
        if (!at.warning.empty()) host_.warning(at.warning);
        return listen_tcp(at.endpoint);
    });
    if (socket) tcp_.push_back(local_endpoint(socket->get()));
    return socket;
}

Result<UniqueFd> Entrance::open_unix(const std::filesystem::path& path, mode_t mode, const char* option) {
    const std::string resource = "unix:" + path.string();
    UniqueFd handed = host_.descriptors().take(resource);
    struct stat there {};
    // After a restart, systemd also passes a socket whose file was removed at the stop: no client could connect to it.
    if (::lstat(path.c_str(), &there) != 0) handed.reset();
    auto socket = open(resource, option, std::move(handed), [&] { return listen_unix(path, mode); });
    if (socket && ::lstat(path.c_str(), &there) == 0) files_.push_back({resource, path, there.st_dev, there.st_ino});
    return socket;
}

void Entrance::leave() {
    for (const File& file : std::exchange(files_, {})) {
        host_.descriptors().forget(file.resource);
        if (host_.descriptors().held(file.resource)) continue;
        struct stat there {};
        const bool same = ::lstat(file.path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode) &&
                          there.st_dev == file.device && there.st_ino == file.inode;
        if (same) (void)::unlink(file.path.c_str());
    }
}

std::optional<Response> Entrance::turn_away(const Request& request) const {
    if (!bearer_ || request.peer.is_local() || bearer_->allows(request.authorization)) return std::nullopt;
    auto response = problem(401, {.detail = "the request carries no valid token",
                                  .hint = "send Authorization: Bearer and the token of the configuration"});
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

Refused Entrance::refusals() const {
    return [&host = host_](unsigned status, const Peer& peer, std::string_view first) {
        host.refused(reason_word(status), peer.user ? "uid " + std::to_string(*peer.user) : peer.endpoint.to_string(),
                     first);
    };
}

void Entrance::warn_of_crowd(const Counts& counts) {
    const auto now = std::chrono::steady_clock::now();
    const bool starved = counts.starved > std::exchange(starved_, counts.starved);
    const bool turned_away = counts.turned_away() > std::exchange(turned_away_, counts.turned_away());
    if (crowded_ && now - *crowded_ > std::chrono::minutes(1)) crowded_.reset();
    const bool waiting = counts.not_accepted > std::exchange(not_accepted_, counts.not_accepted);
    if (!turned_away && !waiting) return;
    if (!std::exchange(crowded_, now))
        host_.warning(
            waiting ? "the limit of open files of this process is reached (ulimit -n): connections wait until one is closed"
            : starved ? "connections use up the limit of open files of this process (ulimit -n): further connections are "
                        "answered 503"
                      : std::to_string(options_.max_connections) +
                            " connections are open (maxConnections): further ones are answered 503");
}

}  // namespace flowd::http
