// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/json_text.hpp"

#include <algorithm>
#include <array>

#include "flowd/json.hpp"

namespace flowd::firefly {
namespace {

using simdjson::dom::element_type;

void write(json::Writer& writer, simdjson::dom::element value) {
    switch (value.type()) {
        case element_type::OBJECT:
            writer.object();
            for (const auto& [name, member] : value.get_object().value_unsafe()) {
                writer.key(name);
                write(writer, member);
            }
            writer.end();
            return;
        case element_type::ARRAY:
            writer.array();
            for (const auto item : value.get_array().value_unsafe()) write(writer, item);
            writer.end();
            return;
        case element_type::STRING:
            writer.value(value.get_string().value_unsafe());
            return;
        case element_type::INT64:
            writer.value(value.get_int64().value_unsafe());
            return;
        case element_type::UINT64:
            writer.value(value.get_uint64().value_unsafe());
            return;
        case element_type::DOUBLE:
            writer.value(value.get_double().value_unsafe());
            return;
        case element_type::BOOL:
            writer.value(value.get_bool().value_unsafe());
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

bool is_block_name(std::string_view name) {
    constexpr std::array<std::string_view, 5> core{"version", "flow-lifecycle", "flow-id", "usage", "context"};
    if (name.empty() || name.size() > 64) return false;
    if (std::find(core.begin(), core.end(), name) != core.end()) return false;
    return std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

}  // namespace flowd::firefly
