// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/options.hpp"

#include <algorithm>

#include "lib/net/zone.hpp"

namespace flowd::fireflyp {
namespace {

/// Whether a socket bound to `one` receives what is sent to `other`.
[[nodiscard]] bool covers(const Endpoint& one, const Endpoint& other) {
    if (one.port != other.port) return false;
    if (!one.address.is_unspecified()) return one.address == other.address;
    return !one.address.is_v4() || other.address.is_v4();
}

void validate_bind(const Endpoint& endpoint, const std::string& path, bool allows_some, Problems& problems) {
    if (endpoint.address.is_multicast())
        problems.error(path, "is a multicast address", "use an address of this host, or \"::\"");
    else if (endpoint.address.is_link_local() && !endpoint.address.is_v4())
        problems.error(path, "is a link-local address", "write \"::\", and allow: [\"fe80::/10\"]");
    else if (!endpoint.address.is_loopback() && !allows_some)
        problems.error(path, "receives from other hosts, and `allow` does not say from which",
                       "list the networks of the senders, allow: [192.0.2.0/24]; all hosts: allow: [\"::/0\"]");
}

void validate_binds(const FireflypOptions& options, Problems& problems) {
    const bool allows_some = !options.allow.empty();
    std::vector<Endpoint> known;
    if (options.bind_address) {
        known.push_back({*options.bind_address, options.bind_port});
        validate_bind(known.front(), "bindAddress", allows_some, problems);
    }
    for (std::size_t i = 0; i < options.binds.size(); ++i) {
        const std::string path = "binds[" + std::to_string(i) + "]";
        const Endpoint endpoint{options.binds[i].address, options.binds[i].port};
        validate_bind(endpoint, path, allows_some, problems);
        for (const Endpoint& other : known)
            if (covers(endpoint, other) || covers(other, endpoint))
                problems.error(path, "overlaps with " + other.to_string() + ", which is configured already",
                               "remove one of the two; an address for all of them belongs into bindAddress");
        known.push_back(endpoint);
    }
}

void validate_receiver(const Receiver& receiver, const std::string& path, const std::vector<Endpoint>& endpoints,
                       Problems& problems) {
    net::validate_host(receiver.address, path + ".address", problems);
    const auto address = Address::parse(receiver.address);
    if (!address) return;
    for (const Endpoint& own : endpoints) {
        const bool everywhere = own.address.is_unspecified() && address->is_loopback();
        if (receiver.port == own.port && (*address == own.address || everywhere))
            problems.error(path, "is an address at which this plugin receives: every firefly would come back",
                           "name another host or port, or remove this receiver");
    }
}

}  // namespace

const Table<Bind>& Bind::table() {
    static const Table<Bind> table{
        option("address", &Bind::address).required().doc("Address of this host to receive fireflies at."),
        option("port", &Bind::port).range(1, 65535).default_value(firefly_port).doc("UDP port to receive fireflies at."),
    };
    return table;
}

const Table<Receiver>& Receiver::table() {
    static const Table<Receiver> table{
        option("address", &Receiver::address).host().required().doc("Name or address of the receiver."),
        option("port", &Receiver::port).range(1, 65535).default_value(firefly_port).doc("UDP port of the receiver."),
    };
    return table;
}

const Table<FireflypOptions>& FireflypOptions::table() {
    using O = FireflypOptions;
    static const Table<O> table{
        option("bindAddress", &O::bind_address)
            .doc("Address to receive fireflies at; \"::\" means every IPv6 and IPv4 address of this host. Absent: "
                 "127.0.0.1 and ::1."),
        option("bindPort", &O::bind_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port to receive fireflies at."),
        option("binds", &O::binds).length(0, 64).doc("Addresses to receive fireflies at, in addition to bindAddress."),
        option("receivers", &O::readers)
            .range(1, 64)
            .default_value(1)
            .doc("Sockets at each address, and threads that receive: what one host sends is always received by the same "
                 "one, in order."),
        option("reusePort", &O::reuse_port)
            .default_value(false)
            .doc("Shares its ports with other instances that set it, too (SO_REUSEPORT); a sender is always assigned to "
                 "the same instance."),
        option("allow", &O::allow)
            .length(0, 1024)
            .doc("Networks whose datagrams are accepted; others are counted and dropped. Required if an address is not "
                 "loopback; [\"::/0\"] accepts all."),
        option("ratePerSource", &O::rate_per_source)
            .range(0, 10'000'000)
            .default_value(0)
            .doc("Maximum rate per sender address, in datagrams per second, with a burst of one second; more are counted "
                 "and dropped. 0: no limit."),
        option("bufferSize", &O::buffer_size)
            .byte_size()
            .range(2049, 65535)
            .default_value(4096)
            .doc("Longest firefly that is accepted; longer ones are refused and counted as truncated."),
        option("receiveBuffer", &O::receive_buffer)
            .byte_size()
            .range(0, 1 << 30)
            .default_value("4 MiB")
            .doc("Receive buffer of the socket (SO_RCVBUF); 0: the system's default."),
        option("deadline", &O::deadline)
            .default_value("0s")
            .doc("Timeout of a read in flowd-go; accepted without effect: receiving never blocks."),
        option("hasSyslogHeader", &O::has_syslog_header)
            .default_value(false)
            .doc("No effect: fireflies with and without a header are always accepted."),
        option("fireflyReceivers", &O::receivers)
            .length(0, 64)
            .doc("Receivers to which every accepted firefly is forwarded unmodified. They imply the backend "
                 "firefly/receivers."),
        option("resolveInterval", &O::resolve_interval)
            .range(std::chrono::seconds(1), std::chrono::hours(24))
            .default_value("60s")
            .doc("How often the names of receivers are resolved again; the name of a receiver that refuses is resolved at "
                 "once."),
    };
    return table;
}

std::vector<Endpoint> FireflypOptions::endpoints() const {
    std::vector<Endpoint> listed, all;
    for (const Bind& bind : binds) listed.push_back({bind.address, bind.port});
    if (bind_address) all.push_back({*bind_address, bind_port});
    for (const char* loopback : {"127.0.0.1", "::1"}) {
        const Endpoint endpoint{*Address::parse(loopback), bind_port};
        const bool covered =
            std::any_of(listed.begin(), listed.end(), [&](const Endpoint& bind) { return covers(bind, endpoint); });
        if (!bind_address && !covered) all.push_back(endpoint);
    }
    all.insert(all.end(), listed.begin(), listed.end());
    return all;
}

void FireflypOptions::validate(const FireflypOptions& options, Problems& problems) {
    const std::vector<Endpoint> endpoints = options.endpoints();
    validate_binds(options, problems);
    if (options.reuse_port && options.readers > 1)
        problems.error("receivers", "distributes senders over the sockets of one instance, and reusePort shares the port",
                       "remove reusePort: receivers is enough to use several cores");
    for (std::size_t i = 0; i < options.receivers.size(); ++i)
        validate_receiver(options.receivers[i], "fireflyReceivers[" + std::to_string(i) + "]", endpoints, problems);
}

}  // namespace flowd::fireflyp
