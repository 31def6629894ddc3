/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module without the C++ layer: the plugin c11 emits pairs of start and end, the backend c11 counts what it gets.
 * Also an example of what the border asks of a module that is written by hand.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"

/* What the core calls through its host; copied by size, so that an older core is told from a newer one. */
static int read_host(flowd_host* copy, const flowd_host* host) {
    memset(copy, 0, sizeof *copy);
    memcpy(copy, host, host->size < sizeof *copy ? host->size : sizeof *copy);
    return copy->log != NULL && copy->emit != NULL ? FLOWD_OK : FLOWD_UNSUPPORTED;
}

static flowd_string text(const char* words) {
    flowd_string string = {words, strlen(words)};
    return string;
}

static void say(const flowd_host* host, const char* format, ...) {
    char line[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    host->log(host, FLOWD_LEVEL_INFO, text(line));
}

/* The option in row `index`: walk by the stride, never by sizeof. */
static const flowd_value* item(const flowd_value* group, size_t index) {
    if (index >= group->item_count) return NULL;
    return (const flowd_value*)((const char*)group->items + index * group->item_stride);
}

/* ---- the plugin ---- */

struct source {
    const flowd_host* host;
    flowd_host calls;
    uint64_t events; /* to be emitted: two for each pair */
    uint64_t done;
    uint64_t refused;
};

static const flowd_option source_options[] = {
    {.size = sizeof(flowd_option),
     .type = FLOWD_OPTION_INTEGER,
     .name = "pairs",
     .doc = "How many flows start and end.",
     .default_text = "100",
     .minimum = 0,
     .maximum = 10000000},
};

static flowd_result source_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    const flowd_value* pairs = item(config, 0);
    struct source* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    if (read_host(&self->calls, host) != FLOWD_OK) {
        free(self);
        return FLOWD_UNSUPPORTED;
    }
    self->events = pairs == NULL ? 0 : (uint64_t)pairs->integer * 2;
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

/* Flow number n: 2001:db8::1 to 2001:db8::2, told apart by the lower half of the source and by its port. */
static void flow_of(flowd_key* key, uint64_t n) {
    static const uint8_t source[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t destination[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    memcpy(key->source, source, 16);
    memcpy(key->destination, destination, 16);
    key->source[8] = (uint8_t)(n >> 24);
    key->source[9] = (uint8_t)(n >> 16);
    key->source_port = (uint16_t)(1 + (n & 0x7fff));
    key->destination_port = 443;
    key->protocol = 6;
}

static void source_go_on(flowd_instance* instance) {
    struct source* self = (struct source*)instance;
    while (self->done < self->events) {
        flowd_event event;
        size_t accepted = 0;
        memset(&event, 0, sizeof event);
        event.size = sizeof event;
        event.kind = self->done % 2 == 0 ? FLOWD_EVENT_START : FLOWD_EVENT_END;
        event.tag.experiment = 2;
        event.tag.activity = 7;
        flow_of(&event.key, self->done / 2);
        switch (self->calls.emit(self->host, &event, 1, sizeof event, &accepted)) {
            case FLOWD_OK:
                break;
            case FLOWD_FULL:
                return; /* on_room follows */
            case FLOWD_STOPPED:
                return;
            default:
                ++self->refused;
                break; /* counted by the core too; go on behind it */
        }
        ++self->done;
    }
}

static flowd_result source_start(flowd_instance* instance) {
    source_go_on(instance);
    return FLOWD_OK;
}

static flowd_result source_stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    struct source* self = (struct source*)instance;
    (void)deadline_ns;
    say(self->host, "emitted %" PRIu64 " of %" PRIu64 " events", self->done - self->refused, self->events);
    return FLOWD_OK;
}

static void destroy(flowd_instance* instance) {
    free(instance);
}

/* ---- the backend ---- */

struct sink {
    const flowd_host* host;
    uint64_t starts;
    uint64_t ends;
    uint64_t disorder; /* an end before its start, by what the core promises: never */
};

static flowd_result sink_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    flowd_host calls;
    struct sink* self;
    (void)config;
    if (read_host(&calls, host) != FLOWD_OK) return FLOWD_UNSUPPORTED;
    self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

static flowd_result sink_start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}

static flowd_result sink_on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                                   size_t* taken) {
    (void)taken;
    struct sink* self = (struct sink*)instance;
    size_t i;
    for (i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        if (event->kind == FLOWD_EVENT_START) ++self->starts;
        if (event->kind == FLOWD_EVENT_END) ++self->ends;
        if (event->kind == FLOWD_EVENT_END && (event->flags & FLOWD_NO_START) != 0) ++self->disorder;
    }
    return FLOWD_OK;
}

static flowd_result sink_stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    struct sink* self = (struct sink*)instance;
    (void)deadline_ns;
    say(self->host, "saw %" PRIu64 " starts, %" PRIu64 " ends, %" PRIu64 " out of order", self->starts, self->ends,
        self->disorder);
    return FLOWD_OK;
}

static flowd_result sink_status(flowd_instance* instance, const flowd_writer* answer) {
    struct sink* self = (struct sink*)instance;
    char json[160];
    snprintf(json, sizeof json, "{\"starts\":%" PRIu64 ",\"ends\":%" PRIu64 ",\"outOfOrder\":%" PRIu64 "}", self->starts,
             self->ends, self->disorder);
    answer->write(answer, text(json));
    return FLOWD_OK;
}

static const void* sink_extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_status status = {.size = sizeof status, .status = sink_status};
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &status : NULL;
}

/* ---- the module ---- */

static const char* const sink_aliases[] = {"plainc", NULL};

static const flowd_component components[] = {
    {.size = sizeof(flowd_component),
     .kind = FLOWD_PLUGIN,
     .name = "c11",
     .summary = "Emits pairs of start and end; written in C.",
     .loop = FLOWD_LOOP_HOSTED,
     .precedence = FLOWD_PRECEDENCE_EXPLICIT,
     .options = source_options,
     .option_count = sizeof source_options / sizeof source_options[0],
     .option_stride = sizeof source_options[0],
     .create = source_create,
     .start = source_start,
     .stop = source_stop,
     .destroy = destroy,
     .on_room = source_go_on},
    {.size = sizeof(flowd_component),
     .kind = FLOWD_BACKEND,
     .name = "c11",
     .summary = "Counts what it gets; written in C.",
     .aliases = sink_aliases,
     .loop = FLOWD_LOOP_HOSTED,
     .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_END,
     .create = sink_create,
     .start = sink_start,
     .stop = sink_stop,
     .destroy = destroy,
     .on_events = sink_on_events,
     .extension = sink_extension},
};

const flowd_module* flowd_module_v1(uint32_t core_minor) {
    static const flowd_module module = {.size = sizeof module,
                                        .abi_major = FLOWD_ABI_MAJOR,
                                        .abi_minor = FLOWD_ABI_MINOR,
                                        .name = FLOWD_MODULE_NAME,
                                        .version = FLOWD_MODULE_VERSION,
                                        .license = FLOWD_MODULE_LICENSE,
                                        .components = components,
                                        .component_count = sizeof components / sizeof components[0],
                                        .component_stride = sizeof components[0]};
    (void)core_minor;
    return &module;
}
