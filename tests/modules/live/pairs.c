/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In plain C11: plugin `pairs` announces `count` flows and ends them, in order, with a window of them open; backend `tally`
 * counts what reaches it and judges the order of each flow. Both tell in `status`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"
#include "flowd/abi/note.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=plugin-pairs\nversion=1\nplugin=pairs\nbackend=tally\n");

enum { WINDOW = 50 };

struct pairs {
    const flowd_host* host;
    uint64_t count, next, full;
};
struct tally {
    const flowd_host* host;
    uint64_t count, starts, ends, wrong;
    uint8_t* seen;
};

static const flowd_value* item(const flowd_value* config, size_t index) {
    return (const flowd_value*)((const char*)config->items + index * config->item_stride);
}

static void say(const flowd_writer* answer, const char* text) {
    flowd_string piece = {text, strlen(text)};
    answer->write(answer, piece);
}

/* ---- pairs ---- */

static flowd_event event_of(uint32_t kind, uint64_t number) {
    flowd_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.key.source[0] = event.key.destination[0] = 0x20;
    event.key.source[1] = event.key.destination[1] = 0x01;
    for (int i = 0; i < 4; ++i) event.key.source[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    event.key.destination[15] = 1;
    event.key.source_port = 1000;
    event.key.destination_port = 2000;
    event.key.protocol = 6;
    event.tag.experiment = 2;
    event.tag.activity = 3;
    return event;
}

static flowd_event step(const struct pairs* self, uint64_t i) {
    const uint64_t window = self->count < WINDOW ? self->count : WINDOW;
    if (i < window) return event_of(FLOWD_EVENT_START, i);
    if (i >= 2 * self->count - window) return event_of(FLOWD_EVENT_END, i - self->count);
    const uint64_t k = i - window;
    return k % 2 == 0 ? event_of(FLOWD_EVENT_END, k / 2) : event_of(FLOWD_EVENT_START, window + k / 2);
}

static void pairs_room(flowd_instance* instance) {
    struct pairs* self = (struct pairs*)instance;
    while (self->next < 2 * self->count) {
        const flowd_event event = step(self, self->next);
        size_t accepted = 0;
        const flowd_result result = self->host->emit(self->host, &event, 1, sizeof event, &accepted, NULL);
        if (result == FLOWD_FULL) {
            ++self->full;
            return;
        }
        if (result != FLOWD_OK) return;
        ++self->next;
    }
}

static flowd_result pairs_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    struct pairs* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    self->count = (uint64_t)item(config, 0)->integer;
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}
static flowd_result pairs_start(flowd_instance* instance) {
    pairs_room(instance);
    return FLOWD_OK;
}
static flowd_result pairs_stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    (void)instance;
    (void)deadline_ns;
    return FLOWD_OK;
}
static void pairs_destroy(flowd_instance* instance) {
    free(instance);
}
static flowd_result pairs_status(flowd_instance* instance, const flowd_writer* answer) {
    const struct pairs* self = (const struct pairs*)instance;
    char text[128];
    snprintf(text, sizeof text, "{\"emitted\":%llu,\"full\":%llu}", (unsigned long long)self->next,
             (unsigned long long)self->full);
    say(answer, text);
    return FLOWD_OK;
}
static const flowd_ext_status pairs_status_table = {sizeof(flowd_ext_status), 0, pairs_status};
static const void* pairs_extension(flowd_instance* instance, const char* id) {
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &pairs_status_table : NULL;
}

/* ---- tally ---- */

static flowd_result tally_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    struct tally* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    self->count = (uint64_t)item(config, 0)->integer;
    self->seen = calloc(self->count, 1);
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}
static flowd_result tally_start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}
static void tally_destroy(flowd_instance* instance) {
    free(((struct tally*)instance)->seen);
    free(instance);
}
static flowd_result tally_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                                 size_t* taken) {
    (void)taken;
    struct tally* self = (struct tally*)instance;
    for (size_t i = 0; i < count; ++i) {
        const flowd_event* event = (const flowd_event*)((const char*)events + i * stride);
        uint64_t number = 0;
        for (int b = 12; b < 16; ++b) number = number << 8 | event->key.source[b];
        if (number >= self->count) {
            ++self->wrong;
            continue;
        }
        const uint8_t before = self->seen[number]++;
        if (event->kind == FLOWD_EVENT_START && before == 0)
            ++self->starts;
        else if (event->kind == FLOWD_EVENT_END && before == 1)
            ++self->ends;
        else
            ++self->wrong;
    }
    return FLOWD_OK;
}
static flowd_result tally_status(flowd_instance* instance, const flowd_writer* answer) {
    const struct tally* self = (const struct tally*)instance;
    char text[160];
    snprintf(text, sizeof text, "{\"starts\":%llu,\"ends\":%llu,\"wrong\":%llu}", (unsigned long long)self->starts,
             (unsigned long long)self->ends, (unsigned long long)self->wrong);
    say(answer, text);
    return FLOWD_OK;
}
static const flowd_ext_status tally_status_table = {sizeof(flowd_ext_status), 0, tally_status};
static const void* tally_extension(flowd_instance* instance, const char* id) {
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &tally_status_table : NULL;
}

/* ---- the module ---- */

static const flowd_option options[] = {{
    .size = sizeof(flowd_option),
    .type = FLOWD_OPTION_INTEGER,
    .name = "count",
    .doc = "How many flows.",
    .flags = FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM,
    .default_text = "100000",
    .minimum = 1,
    .maximum = 10000000,
}};

static const flowd_component components[] = {
    {
        .size = sizeof(flowd_component),
        .kind = FLOWD_PLUGIN,
        .name = "pairs",
        .summary = "Announces flows and ends them.",
        .precedence = FLOWD_PRECEDENCE_EXPLICIT,
        .options = options,
        .option_count = 1,
        .option_stride = sizeof options[0],
        .create = pairs_create,
        .start = pairs_start,
        .stop = pairs_stop,
        .destroy = pairs_destroy,
        .on_room = pairs_room,
        .extension = pairs_extension,
    },
    {
        .size = sizeof(flowd_component),
        .kind = FLOWD_BACKEND,
        .name = "tally",
        .summary = "Counts starts and ends and judges their order.",
        .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_END,
        .options = options,
        .option_count = 1,
        .option_stride = sizeof options[0],
        .create = tally_create,
        .start = tally_start,
        .stop = pairs_stop,
        .destroy = tally_destroy,
        .on_events = tally_events,
        .extension = tally_extension,
    },
};

static const flowd_module module = {
    .size = sizeof(flowd_module),
    .abi_major = FLOWD_ABI_MAJOR,
    .abi_minor = FLOWD_ABI_MINOR,
    .name = "plugin-pairs",
    .version = "1",
    .license = "Apache-2.0",
    .components = components,
    .component_count = 2,
    .component_stride = sizeof components[0],
};

const flowd_module* flowd_module_v1(uint32_t core_minor) {
    (void)core_minor;
    return &module;
}
