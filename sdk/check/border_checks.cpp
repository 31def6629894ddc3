// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <simdjson.h>

#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/status.h"
#include "flowd/sized.hpp"
#include "sdk/check/life.hpp"

namespace flowd::check {

namespace {

Outcome life_with(Subject& subject, const Oddity& oddity, bool failing_is_fine) {
    return with_life(
        subject,
        [&](Life& life, ProbeHost&) {
            if (!life.up()) {
                if (failing_is_fine) return Outcome::pass();
                return Outcome::skip(life.down());
            }
            life.live({});
            life.destroy();
            return Outcome::pass();
        },
        oddity);
}

Outcome without_extensions(Subject& subject) {
    Oddity oddity;
    oddity.no_extensions = true;
    return life_with(subject, oddity, true);
}

Outcome on_a_later_core(Subject& subject) {
    Oddity oddity;
    oddity.later_core = true;
    return life_with(subject, oddity, false);
}

Outcome on_a_refusing_core(Subject& subject) {
    Oddity oddity;
    oddity.refuses = true;
    return life_with(subject, oddity, true);
}

Outcome unknown_extension(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (life.create() != FLOWD_OK) return Outcome::skip("create failed");
        for (const char* id : {"org.example.unknown/1", "", "flowd.command/2", "flowd.command", "flowd.status/999"})
            if (life.extension(id) != nullptr) return Outcome::fail(fmt::format("extension(\"{}\") is not null", id));
        return Outcome::pass();
    });
}

flowd_writer writer_into(std::string& text) {
    flowd_writer writer{};
    writer.size = sizeof writer;
    writer.context = &text;
    writer.write = [](const flowd_writer* self, flowd_string piece) -> flowd_result {
        static_cast<std::string*>(self->context)->append(to_view(piece));
        return FLOWD_OK;
    };
    return writer;
}

bool is_json(const std::string& text, simdjson::dom::element_type* type = nullptr) {
    simdjson::dom::parser parser;
    simdjson::dom::element element;
    if (parser.parse(text).get(element) != simdjson::SUCCESS) return false;
    if (type != nullptr) *type = element.type();
    return true;
}

Outcome status_is_json(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const auto* offered = static_cast<const flowd_ext_status*>(life.extension(FLOWD_EXT_STATUS));
        if (offered == nullptr) return Outcome::skip("it does not offer " FLOWD_EXT_STATUS);
        if (offered->size < sizeof(flowd_ext_status) || offered->status == nullptr)
            return Outcome::fail("its flowd_ext_status is incomplete");
        std::string text;
        const flowd_writer writer = writer_into(text);
        flowd_result result = FLOWD_ERROR;
        life.live({[&] { result = life.guarded("status", [&] { return offered->status(life.raw(), &writer); }); }});
        life.destroy();
        if (result < 0) return Outcome::fail("status answered " + result_name(result));
        auto type = simdjson::dom::element_type::NULL_VALUE;
        if (!is_json(text, &type) || type != simdjson::dom::element_type::OBJECT)
            return Outcome::fail("status wrote what is no JSON object: " + text);
        return Outcome::pass();
    });
}

Outcome check_commands(const flowd_ext_command& offered) {
    if (offered.run == nullptr) return Outcome::fail("member 'run' of its flowd_ext_command is missing");
    const auto* at = reinterpret_cast<const std::byte*>(offered.commands);
    for (std::size_t i = 0; i < offered.command_count; ++i, at += offered.command_stride) {
        const auto command = copy_sized<flowd_command>(at);
        if (command.size < offsetof(flowd_command, name)) return Outcome::fail(fmt::format("command {} has no size", i));
        if (command.name == nullptr || *command.name == '\0')
            return Outcome::fail(fmt::format("command {} has no name", i));
        if (command.summary == nullptr) return Outcome::fail(fmt::format("command '{}' has no summary", command.name));
    }
    return Outcome::pass();
}

Outcome commands_answer(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const void* extension = life.extension(FLOWD_EXT_COMMAND);
        if (extension == nullptr) return Outcome::skip("it does not offer " FLOWD_EXT_COMMAND);
        const auto offered = copy_sized<flowd_ext_command>(extension);
        if (Outcome outcome = check_commands(offered); outcome.verdict != Outcome::Verdict::passed) return outcome;
        static constexpr char unknown[] = "no-such-command";
        const flowd_string arguments[] = {{unknown, sizeof unknown - 1}};
        std::string text;
        const flowd_writer writer = writer_into(text);
        flowd_result result = FLOWD_OK;
        life.live(
            {[&] { result = life.guarded("command", [&] { return offered.run(life.raw(), arguments, 1, &writer); }); }});
        life.destroy();
        if (result >= 0) return Outcome::fail("an unknown command succeeded");
        if (!is_json(text)) return Outcome::fail("an unknown command was not answered with JSON, but with: " + text);
        return Outcome::pass();
    });
}

}  // namespace

std::vector<Check> border_checks() {
    return {
        {"core-later", "works on a later core and reads no host beyond what it knows", every_kind, on_a_later_core},
        {"core-bare", "survives a core without extensions", every_kind, without_extensions},
        {"core-refusing", "survives a core that refuses watches, timers, posts and metrics", every_kind,
         on_a_refusing_core},
        {"extension-unknown", "answers null for extensions it does not have", every_kind, unknown_extension},
        {"status", "flowd.status/1 writes one JSON object", every_kind, status_is_json},
        {"command", "flowd.command/1 names its commands and refuses unknown ones in JSON", every_kind, commands_answer},
    };
}

}  // namespace flowd::check
