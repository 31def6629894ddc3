// SPDX-License-Identifier: Apache-2.0
// A plugin and a backend that do wrong what their options say, where they say it. Written against the bare ABI, so that
// nothing of the SDK stands between the misdeed and the core.
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "flowd/abi/module.h"
#include "flowd/abi/note.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=plugin-misbehave\nversion=1\nplugin=misbehave\nbackend=misbehave\n");

namespace {

struct Instance {
    const flowd_host* host;
    std::string at, how;
    bool was_full = false;
};
Instance& of(flowd_instance* instance) {
    return *reinterpret_cast<Instance*>(instance);
}
std::string text(const flowd_value& value) {
    return {value.text.data, value.text.length};
}

flowd_result misbehave(const Instance& self, const char* at) {
    if (self.at != at) return FLOWD_OK;
    if (self.how == "throw") throw std::runtime_error("thrown on purpose");
    if (self.how == "garbage") return 4711;
    if (self.how == "busy") return FLOWD_BUSY;
    if (self.how == "denied") return FLOWD_DENIED;
    if (self.how == "full") return FLOWD_FULL;
    if (self.how == "hang")
        for (;;) ::pause();
    return FLOWD_ERROR;
}

const char* const places[] = {"nowhere", "create", "prepare", "start", "post",    "timer",
                              "watch",   "events", "emit",    "stop",  "destroy", nullptr};
const char* const ways[] = {"error",  "throw", "garbage",       "hang",          "busy",
                            "denied", "full",  "full-at-first", "slow-at-first", nullptr};

flowd_option choice(const char* name, const char* doc, const char* standard, const char* const* choices) {
    flowd_option option{};
    option.size = sizeof option;
    option.type = FLOWD_OPTION_CHOICE;
    option.name = name;
    option.doc = doc;
    option.default_text = standard;
    option.choices = choices;
    return option;
}
const flowd_option options[] = {choice("at", "Where to misbehave.", "nowhere", places),
                                choice("how", "What to do there.", "error", ways)};

flowd_result create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    const auto at = [&](std::size_t i) {
        return reinterpret_cast<const flowd_value*>(reinterpret_cast<const char*>(config->items) + i * config->item_stride);
    };
    auto* self = new Instance{host, text(*at(0)), text(*at(1)), false};
    *instance = reinterpret_cast<flowd_instance*>(self);
    return misbehave(*self, "create");
}
flowd_result prepare(flowd_instance* instance) {
    return misbehave(of(instance), "prepare");
}

/// Events of which nothing is right.
void emit_nonsense(const Instance& self) {
    flowd_event events[3];
    std::memset(events, 0xff, sizeof events);
    for (flowd_event& event : events) event.size = sizeof event;
    std::size_t accepted = 0;
    (void)self.host->emit(self.host, events, 3, sizeof events[0], &accepted, nullptr);
    (void)self.host->emit(self.host, nullptr, 3, sizeof events[0], &accepted, nullptr);
    (void)self.host->emit(self.host, events, 3, 0, nullptr, nullptr);
    (void)self.host->emit(self.host, events, 3, 1, &accepted, nullptr);
}

flowd_result start(flowd_instance* instance) {
    Instance& self = of(instance);
    const auto called = [](void* user) {
        const Instance& me = *static_cast<Instance*>(user);
        (void)misbehave(me, me.at.c_str());
    };
    if (self.at == "post") return self.host->post(self.host, called, &self);
    if (self.at == "timer") {
        flowd_timer timer = 0;
        return self.host->timer(self.host, 1'000'000, 0, called, &self, &timer);
    }
    if (self.at == "watch") {
        int ends[2];
        if (::pipe(ends) != 0 || ::write(ends[1], "x", 1) != 1) return FLOWD_ERROR;
        flowd_watch watch = 0;
        return self.host->watch(
            self.host, ends[0], FLOWD_IO_READ,
            [](void* user, int, std::uint32_t) { (void)misbehave(*static_cast<Instance*>(user), "watch"); }, &self, &watch);
    }
    if (self.at == "emit") emit_nonsense(self);
    return misbehave(self, "start");
}
flowd_result stop(flowd_instance* instance, std::int64_t, std::uint32_t) {
    return misbehave(of(instance), "stop");
}
void destroy(flowd_instance* instance) {
    (void)misbehave(of(instance), "destroy");
    delete &of(instance);
}
flowd_result on_events(flowd_instance* instance, const flowd_event*, std::size_t, std::size_t, std::size_t*) {
    Instance& self = of(instance);
    if (self.how == "slow-at-first") {
        constexpr int long_time_ms = 5500;
        if (!std::exchange(self.was_full, true)) (void)::poll(nullptr, 0, long_time_ms);
        return FLOWD_OK;
    }
    if (self.how != "full-at-first") return misbehave(self, "events");
    if (self.was_full) return FLOWD_OK;
    // Half a second later it takes everything.
    self.was_full = true;
    flowd_timer timer = 0;
    const auto ready = [](void* user) { static_cast<Instance*>(user)->host->ready(static_cast<Instance*>(user)->host); };
    const flowd_result timed = self.host->timer(self.host, 500'000'000, 0, ready, &self, &timer);
    return timed == FLOWD_OK ? FLOWD_FULL : timed;
}

flowd_component component(std::uint32_t kind) {
    flowd_component made{};
    made.size = sizeof made;
    made.kind = kind;
    made.name = "misbehave";
    made.summary = "Does wrong what it is told to.";
    made.precedence = kind == FLOWD_PLUGIN ? static_cast<std::uint32_t>(FLOWD_PRECEDENCE_EXPLICIT) : 0;
    made.accepts = kind == FLOWD_BACKEND ? 1U << FLOWD_EVENT_START | 1U << FLOWD_EVENT_END : 0;
    made.options = options;
    made.option_count = 2;
    made.option_stride = sizeof options[0];
    made.create = create;
    made.prepare = prepare;
    made.start = start;
    made.stop = stop;
    made.destroy = destroy;
    if (kind == FLOWD_BACKEND) made.on_events = on_events;
    return made;
}
const flowd_component components[] = {component(FLOWD_PLUGIN), component(FLOWD_BACKEND)};
const flowd_module module{
    sizeof(flowd_module), FLOWD_ABI_MAJOR, FLOWD_ABI_MINOR, 0, "plugin-misbehave", "1", "Apache-2.0", components, 2,
    sizeof components[0]};

}  // namespace

const flowd_module* flowd_module_v1(std::uint32_t) {
    return &module;
}
