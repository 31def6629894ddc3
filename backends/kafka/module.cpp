// SPDX-License-Identifier: Apache-2.0
// In a file of its own, so that tests can link the component without it.
#include "backends/kafka/kafka.hpp"
#include "backends/kafka/source.hpp"

FLOWD_MODULE(flowd::kafka::KafkaBackend, flowd::kafka::KafkaSource);
