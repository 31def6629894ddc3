// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/record_reader.hpp"

#include <simdjson.h>

#include <cstring>

#include "lib/firefly/parser.hpp"

namespace flowd::kafka {
namespace {

[[nodiscard]] bool same_flow(const firefly::Firefly& a, const firefly::Firefly& b) {
    return a.state == b.state && a.key.protocol == b.key.protocol && a.key.source_port == b.key.source_port &&
           a.key.destination_port == b.key.destination_port && std::memcmp(a.key.source, b.key.source, 16) == 0 &&
           std::memcmp(a.key.destination, b.key.destination, 16) == 0;
}

}  // namespace

struct RecordReader::State {
    explicit State(std::size_t capacity)
        : json(capacity + simdjson::SIMDJSON_PADDING), of_message(capacity), of_objects(capacity) {}
    simdjson::dom::parser json;
    firefly::Parser of_message, of_objects;
    std::string message;
};

RecordReader::RecordReader(std::size_t max_size) : state_(std::make_unique<State>(max_size)), max_size_(max_size) {}

RecordReader::~RecordReader() = default;

RecordReader::Read RecordReader::read(const char* value, std::size_t size) {
    Read read;
    if (value == nullptr) {
        read.refusal = "null_value";
        return read;
    }
    if (size > max_size_) {
        read.refusal = "too_large";
        return read;
    }
    const std::string_view record(value, size);
    simdjson::dom::object members;
    if (state_->json.parse(value, size).get_object().get(members) != simdjson::SUCCESS) {
        read.refusal = "not_json";
        return read;
    }
    bool flag = false;
    read.redelivered = members["redelivered"].get(flag) == simdjson::SUCCESS && flag;
    std::string_view message;
    const bool has_message = members["message"].get(message) == simdjson::SUCCESS;
    state_->message = message;
    firefly::Firefly objects;
    const auto of_objects = state_->of_objects.parse(record, objects);
    if (!has_message) {
        read.refusal = of_objects == firefly::Refusal::none ? std::string_view() : firefly::name_of(of_objects);
        read.firefly = objects;
        read.datagram = record;
        return read;
    }
    read.datagram = state_->message;
    const auto of_message = state_->of_message.parse(read.datagram, read.firefly);
    if (of_message != firefly::Refusal::none) read.refusal = firefly::name_of(of_message);
    read.differs = read.refusal.empty() && of_objects == firefly::Refusal::none && !same_flow(objects, read.firefly);
    return read;
}

}  // namespace flowd::kafka
