// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/options.hpp"

#include "lib/http/listening.hpp"

namespace flowd::api {

using namespace std::chrono_literals;

const Table<Options>& Options::table() {
    using O = Options;
    using Entrance = http::EntranceRows<O>;
    static const Table<O> table{
        Entrance::bind_address(),
        option("bindPort", &O::bind_port)
            .range(0, 65535)
            .default_value(7777)
            .doc("TCP port to listen at; 0: listen at socketPath only."),
        option("socketPath", &O::socket_path).doc("Additional Unix socket to listen at; none when absent."),
        option("socketMode", &O::socket_mode)
            .default_value("0660")
            .doc("Mode of the Unix socket: whoever may write to it may announce flows."),
        Entrance::token(),
        Entrance::max_connections(1024),
        option("maxBody", &O::max_body)
            .byte_size()
            .range(4096, 64 << 20)
            .default_value("1 MiB")
            .doc("Maximum size of a request's body; a larger one is answered 413."),
        option("fullTimeout", &O::full_timeout)
            .range(0s, 60s)
            .default_value("2s")
            .doc("How long a request waits for room in the queues of the backends before it is answered 503."),
        option("takenTimeout", &O::taken_timeout)
            .range(1ms, 60s)
            .default_value("5s")
            .doc("How long a request with wait=taken waits for every backend to take its flows before it is answered 504."),
        Entrance::request_timeout(),
        Entrance::idle_timeout(),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    if (!options.listens_at_tcp() && !options.socket_path)
        problems.error("bindPort", "0 without socketPath: there is nothing to listen at", "write a port, or a socketPath");
    if (options.listens_at_tcp()) options.EntranceOptions::validate("announce flows on this host", problems);
    if (options.full_timeout > options.idle_timeout)
        problems.error("fullTimeout", "is longer than idleTimeout, after which the connection is closed",
                       "make it shorter, or idleTimeout longer");
    if (options.taken_timeout > options.idle_timeout)
        problems.error("takenTimeout", "is longer than idleTimeout, after which the connection is closed",
                       "make it shorter, or idleTimeout longer");
    if (!options.listens_at_tcp() && options.token)
        problems.warning("token", "has no effect: the Unix socket is protected by its mode", "remove the line");
    if (!http::mode_of(options.socket_mode))
        problems.error("socketMode", "is not a mode: 0 and up to three octal digits", "write \"0660\"");
}

}  // namespace flowd::api
