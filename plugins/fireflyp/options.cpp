// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/options.hpp"

namespace flowd::fireflyp {

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
            .default_value("127.0.0.1")
            .doc("Address to receive fireflies at; \"::\" takes every IPv6 and IPv4 address of this host."),
        option("bindPort", &O::bind_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port to receive fireflies at."),
        option("bufferSize", &O::buffer_size)
            .byte_size()
            .range(2049, 65535)
            .default_value(4096)
            .doc("Longest firefly that is understood; longer ones are refused and counted as truncated."),
        option("receiveBuffer", &O::receive_buffer)
            .byte_size()
            .range(0, 1 << 30)
            .default_value("4 MiB")
            .doc("Bytes the kernel keeps while the plugin is busy (SO_RCVBUF); 0 leaves the system's."),
        option("deadline", &O::deadline)
            .default_value("0s")
            .doc("Has no effect, receiving never blocks; taken for flowd-go's configurations."),
        option("hasSyslogHeader", &O::has_syslog_header)
            .default_value(false)
            .doc("What senders are expected to write; fireflies with and without a header are always understood."),
        option("fireflyReceivers", &O::receivers)
            .length(0, 64)
            .doc("Where each firefly that was understood is passed on to, byte by byte."),
    };
    return table;
}

void FireflypOptions::validate(const FireflypOptions& options, Problems& problems) {
    if (options.bind_address.is_multicast())
        problems.error("bindAddress", "a multicast address cannot be received at",
                       "use an address of this host, or \"::\"");
    if (options.deadline.count() != 0)
        problems.warning("deadline", "has no effect: receiving never blocks", "remove the line");
    for (std::size_t i = 0; i < options.receivers.size(); ++i) {
        const Receiver& receiver = options.receivers[i];
        const std::string path = "fireflyReceivers[" + std::to_string(i) + "]";
        const auto address = Address::parse(receiver.address);
        if (!address) continue;
        const bool everywhere = options.bind_address.is_unspecified() && address->is_loopback();
        if (address->is_unspecified() || address->is_multicast())
            problems.error(path + ".address", "is no single host");
        else if (receiver.port == options.bind_port && (*address == options.bind_address || everywhere))
            problems.error(path, "is where this plugin itself receives: every firefly would come back",
                           "name another host or port, or remove this receiver");
    }
}

}  // namespace flowd::fireflyp
