// SPDX-License-Identifier: Apache-2.0
#include "core/cli/output.hpp"

#include <simdjson.h>

#include <ostream>
#include <string>

#include "core/base/text.hpp"
#include "core/cli/render.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {

void Output::answer(std::string_view json_text) const {
    if (json) {
        out << json_text << '\n';
    } else {
        out << render(json_text, {colours});
    }
}

ExitCode Output::fail(ExitCode code, std::string_view message, std::string_view hint) const {
    err << "flowd-cpp: " << printable(message) << '\n';
    if (!hint.empty()) err << "  hint: " << printable(hint) << '\n';
    return code;
}

ExitCode Output::reply(const control::Reply& reply) const {
    if (reply.code == ExitCode::ok || json) {
        answer(reply.json);
        return reply.code;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view message, hint;
    if (parser.parse(reply.json).get(root) != simdjson::SUCCESS) return fail(reply.code, reply.json);
    if (root.is_string()) return fail(reply.code, root.get_string().value());  // the form of errors of a module's command
    if (!root.is_object() || root["error"].get(message) != simdjson::SUCCESS) {
        err << render(reply.json, {});
        return reply.code;
    }
    if (root["hint"].get(hint) != simdjson::SUCCESS) hint = {};
    (void)fail(reply.code, message, hint);
    // Prints further members of the error, such as the problems of a configuration.
    std::string rest;
    json::Writer writer(rest);
    writer.object();
    bool any = false;
    for (const auto field : root.get_object()) {
        if (field.key == "error" || field.key == "hint") continue;
        any = true;
        writer.key(field.key).raw(simdjson::minify(field.value));
    }
    writer.end();
    if (any) err << render(rest, {});
    return reply.code;
}

}  // namespace flowd::core::cli
