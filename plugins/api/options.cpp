// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/options.hpp"

#include <charconv>

namespace flowd::api {

using namespace std::chrono_literals;

std::optional<mode_t> Options::mode() const {
    unsigned bits = 0;
    const char* const last = socket_mode.data() + socket_mode.size();
    const auto [end, error] = std::from_chars(socket_mode.data(), last, bits, 8);
    if (error != std::errc() || end != last || bits > 0777) return std::nullopt;
    return bits;
}

const Table<Options>& Options::table() {
    using O = Options;
    static const Table<O> table{
        option("bindAddress", &O::bind_address)
            .default_value("127.0.0.1")
            .doc("Address to listen at; beyond loopback a tokenFile is required."),
        option("bindPort", &O::bind_port)
            .range(0, 65535)
            .default_value(7777)
            .doc("TCP port to listen at; 0 listens at socketPath only."),
        option("socketPath", &O::socket_path).doc("Unix socket to listen at as well; none when absent."),
        option("socketMode", &O::socket_mode)
            .default_value("0660")
            .doc("Mode of the Unix socket: who may write to it may announce flows."),
        option("tokenFile", &O::token_file)
            .doc("File with the token that every request over TCP has to carry; read again when it changes."),
        option("maxConnections", &O::max_connections)
            .range(1, 65535)
            .default_value(1024)
            .doc("Connections at a time; further ones are answered 503."),
        option("maxBody", &O::max_body)
            .byte_size()
            .range(4096, 64 << 20)
            .default_value("1 MiB")
            .doc("Longest body of a request; a longer one is answered 413."),
        option("requestTimeout", &O::request_timeout)
            .range(1s, 10min)
            .default_value("10s")
            .doc("Time for a request to arrive as a whole."),
        option("idleTimeout", &O::idle_timeout)
            .range(1s, 1h)
            .default_value("60s")
            .doc("Time between two requests of a connection, and for taking an answer."),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    if (!options.listens_at_tcp() && !options.socket_path)
        problems.error("bindPort", "0 leaves nothing to listen at", "write a port, or a socketPath");
    if (options.bind_address.is_multicast())
        problems.error("bindAddress", "a multicast address cannot be listened at",
                       "use an address of this host, or \"::\"");
    if (options.listens_at_tcp() && !options.bind_address.is_loopback() && !options.token_file)
        problems.error("tokenFile",
                       "is required: " + options.bind_address.to_string() +
                           " is not loopback, so others could announce flows on this host",
                       "make one: openssl rand -hex 32 > /etc/flowd-cpp/token; chmod 0640 /etc/flowd-cpp/token");
    if (!options.listens_at_tcp() && options.token_file)
        problems.warning("tokenFile", "has no effect: the Unix socket is protected by its mode", "remove the line");
    if (!options.mode()) problems.error("socketMode", "is no mode: up to three octal digits behind a 0", "write \"0660\"");
}

}  // namespace flowd::api
