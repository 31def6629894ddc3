// SPDX-License-Identifier: Apache-2.0
#include "backends/view/options.hpp"

#include <algorithm>

#include "lib/http/listening.hpp"
#include "lib/text/words.hpp"

namespace flowd::view {
namespace {

/// "localhost:8090" and "[::1]:8090" without the port; empty: it is malformed.
[[nodiscard]] std::string_view name_of(std::string_view host) {
    const bool is_bracketed = !host.empty() && host.front() == '[';
    const std::size_t end = std::min(host.find(is_bracketed ? ']' : ':'), host.size());
    if (is_bracketed && end == host.size()) return {};
    std::string_view port = host.substr(end);
    if (is_bracketed) port.remove_prefix(1);
    const bool has_port = port.size() > 1 && port.front() == ':' && port.find_first_not_of("0123456789", 1) == port.npos;
    if (!port.empty() && !has_port) return {};
    return is_bracketed ? host.substr(1, end - 1) : host.substr(0, end);
}

}  // namespace

const Table<Options>& Options::table() {
    using O = Options;
    using Entrance = http::EntranceRows<O>;
    static const Table<O> table{
        Entrance::bind_address(),
        option("port", &O::port).range(0, 65535).default_value(8090).doc("TCP port of the page; 0: serve socketPath only."),
        option("socketPath", &O::socket_path).doc("Additional Unix socket to listen at; none when absent."),
        option("socketMode", &O::socket_mode)
            .default_value("0660")
            .doc("Mode of the Unix socket: whoever may write to it may see the flows of this host."),
        option("hostNames", &O::host_names)
            .doc("Further names under which a browser may address the page at a loopback address or at the Unix socket, "
                 "as through a reverse proxy; localhost and loopback addresses always may."),
        Entrance::token(),
        Entrance::max_connections(128),
        Entrance::request_timeout(),
        Entrance::idle_timeout(),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    if (!options.listens_at_tcp() && !options.socket_path)
        problems.error("port", "0 without socketPath: there is nothing to listen at", "write a port, or a socketPath");
    if (options.listens_at_tcp()) options.EntranceOptions::validate("see the flows of this host", problems);
    if (!options.listens_at_tcp() && options.token)
        problems.warning("token", "has no effect: the Unix socket is protected by its mode", "remove the line");
    if (!http::mode_of(options.socket_mode))
        problems.error("socketMode", "is not a mode: 0 and up to three octal digits", "write \"0660\"");
}

bool is_own_host(std::string_view host, const std::vector<std::string>& names) {
    const std::string_view name = name_of(host);
    if (text::same_word(name, "localhost")) return true;
    if (const auto address = Address::parse(name); address && address->is_loopback()) return true;
    return std::any_of(names.begin(), names.end(), [&](const std::string& one) { return text::same_word(name, one); });
}

}  // namespace flowd::view
