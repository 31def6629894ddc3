// SPDX-License-Identifier: Apache-2.0
// lib/http/entrance.hpp: the listening sockets of a module, the check of tokens, and time limits. [instance]
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/module.hpp"
#include "lib/http/bearer.hpp"
#include "lib/http/conversation.hpp"
#include "lib/http/message.hpp"

namespace flowd::http {

/// The options of all modules with an HTTP server. The module's own struct derives from it, and its table contains the
/// rows of EntranceRows.
struct EntranceOptions {
    Address bind_address;
    std::optional<std::string> token;
    std::uint32_t max_connections = 0;
    std::chrono::seconds request_timeout{0};
    std::chrono::seconds idle_timeout{0};

    EntranceOptions();  // not inline: g++ 12 warns that token is uninitialised if it inlines this

    [[nodiscard]] Limits limits(std::size_t max_body) const;
    /// For a module that listens at bind_address. `danger`: what other hosts can do without a token.
    void validate(std::string_view danger, Problems& problems) const;
};

template <typename O>
struct EntranceRows {
    [[nodiscard]] static Option<O> bind_address() {
        return row("bindAddress", &EntranceOptions::bind_address)
            .default_value("127.0.0.1")
            .doc("Address to listen at; an address that is not loopback requires a token.");
    }
    [[nodiscard]] static Option<O> token() {
        return row("token", &EntranceOptions::token)
            .or_file()
            .secret()
            .doc("Bearer token that every request over TCP must carry: 16 to 512 visible characters.");
    }
    [[nodiscard]] static Option<O> max_connections(std::int64_t usual) {
        return row("maxConnections", &EntranceOptions::max_connections)
            .range(1, 65535)
            .default_value(usual)
            .doc(
                "Maximum number of connections per port; further ones are answered 503. The limit of open files (ulimit "
                "-n) may allow fewer.");
    }
    [[nodiscard]] static Option<O> request_timeout() {
        return row("requestTimeout", &EntranceOptions::request_timeout)
            .range(std::chrono::seconds(1), std::chrono::minutes(10))
            .default_value("10s")
            .doc("Time limit for a complete request.");
    }
    [[nodiscard]] static Option<O> idle_timeout() {
        return row("idleTimeout", &EntranceOptions::idle_timeout)
            .range(std::chrono::seconds(1), std::chrono::hours(1))
            .default_value("60s")
            .doc("Time limit between two requests of a connection, and for reading a response.");
    }

  private:
    template <typename V>
    [[nodiscard]] static Option<O> row(const char* name, V EntranceOptions::*member) {
        return option(name, static_cast<V O::*>(member));
    }
};

/// Opens the sockets, which are handed to a successor on a reload, and checks tokens.
class Entrance {
  public:
    /// `options` outlives it.
    Entrance(Host& host, const EntranceOptions& options);

    /// In prepare(): a socket that systemd or a predecessor held, or a new one. `option` is named in an error.
    [[nodiscard]] Result<UniqueFd> open_tcp(std::uint16_t port, const char* option);
    [[nodiscard]] Result<UniqueFd> open_unix(const std::filesystem::path& path, mode_t mode, const char* option);
    /// The endpoints of the sockets of open_tcp, in order. Without IPv6 that is not `::`.
    [[nodiscard]] const std::vector<Endpoint>& tcp() const { return tcp_; }
    /// In stop(): removes the files of Unix sockets that neither a successor nor systemd uses.
    void leave();

    [[nodiscard]] bool has_token() const { return bearer_.has_value(); }
    /// The response to a request without a valid token; nothing if it is allowed. Requests over a Unix socket are allowed.
    [[nodiscard]] std::optional<Response> turn_away(const Request& request) const;
    /// For Server: records refused requests for `flowd-cpp refusals`.
    [[nodiscard]] Refused refusals() const;
    /// Call it each second. Warns if connections are refused or not accepted because of a limit, but not again until a
    /// minute without such has passed. `counts`: of all servers of the module.
    void warn_of_crowd(const Counts& counts);

  private:
    struct File {
        std::string resource;
        std::filesystem::path path;
        dev_t device = 0;
        ino_t inode = 0;
    };
    template <typename Make>
    Result<UniqueFd> open(const std::string& resource, const char* option, UniqueFd handed, Make make);

    Host& host_;
    const EntranceOptions& options_;
    std::optional<Bearer> bearer_;
    std::vector<File> files_;
    std::vector<Endpoint> tcp_;
    std::uint64_t turned_away_ = 0, starved_ = 0, not_accepted_ = 0;
    std::optional<std::chrono::steady_clock::time_point> crowded_;  ///< last refusal, while the warning is in effect
};

}  // namespace flowd::http
