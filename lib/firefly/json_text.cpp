// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/json_text.hpp"

#include <string_view>

#include "flowd/json.hpp"

namespace flowd::firefly {
namespace {

using simdjson::dom::element_type;

/// The value; the caller has checked its type.
template <typename T>
[[nodiscard]] T as(simdjson::dom::element value) {
    T typed{};
    return value.get(typed) == simdjson::SUCCESS ? typed : T{};
}

void write(json::Writer& writer, simdjson::dom::element value) {
    switch (value.type()) {
        case element_type::OBJECT:
            writer.object();
            for (const auto& [name, member] : as<simdjson::dom::object>(value)) {
                writer.key(name);
                write(writer, member);
            }
            writer.end();
            return;
        case element_type::ARRAY:
            writer.array();
            for (const auto item : as<simdjson::dom::array>(value)) write(writer, item);
            writer.end();
            return;
        case element_type::STRING:
            writer.value(as<std::string_view>(value));
            return;
        case element_type::INT64:
            writer.value(as<std::int64_t>(value));
            return;
        case element_type::UINT64:
            writer.value(as<std::uint64_t>(value));
            return;
        case element_type::DOUBLE:
            writer.value(as<double>(value));
            return;
        case element_type::BOOL:
            writer.value(as<bool>(value));
            return;
        case element_type::NULL_VALUE:
            writer.value(nullptr);
            return;
    }
}

}  // namespace

void append_json(std::string& out, simdjson::dom::element value) {
    json::Writer writer(out);
    write(writer, value);
}

}  // namespace flowd::firefly
