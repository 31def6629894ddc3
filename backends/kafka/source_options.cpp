// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/source_options.hpp"

#include "backends/kafka/client.hpp"

namespace flowd::kafka {

const Table<KafkaSourceOptions>& KafkaSourceOptions::table() {
    using O = KafkaSourceOptions;
    static const Table<O> table{
        option("brokers", &O::brokers)
            .required()
            .length(1, 64)
            .doc("Brokers to find the cluster with, as HOST:PORT; the port is 9092 if it is absent."),
        option("topic", &O::topic).default_value("stardust_firefly").doc("Topic that the records are read from."),
        option("group", &O::group)
            .default_value("flowd-cpp")
            .doc("Consumer group; daemons of one group share the partitions of the topic."),
        choice("startAt", &O::start_at, {{"beginning", StartAt::beginning}, {"end", StartAt::end}})
            .default_value("end")
            .doc("Where a group begins that has committed no offset yet."),
        option("security", &O::security).doc("Encryption and authentication."),
        option("maxSize", &O::max_size)
            .byte_size()
            .range(2048, 100'000'000)
            .default_value(1'000'000)
            .doc("Maximum size of a record; larger ones are refused and counted."),
        option("properties", &O::properties)
            .length(0, 256)
            .doc("Further properties of librdkafka, as NAME: VALUE. Secrets, properties that other options set, and those "
                 "that load or run code are refused."),
    };
    return table;
}

void KafkaSourceOptions::validate(const KafkaSourceOptions& options, Problems& problems) {
    validate_connection(options.connection(), problems);
    if (options.group.empty() || options.group.size() > 255)
        problems.error("group", "is not a consumer group", "write 1 to 255 characters");
    if (problems.errors() != 0) return;
    Connection alone = options.connection();
    alone.brokers.clear();
    alone.security = {};
    if (auto client = Client::consumer(alone, options.group, nullptr); !client)
        problems.error("properties", client.error().message, "correct or remove the property");
}

}  // namespace flowd::kafka
