/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module without the C++ layer. The plugin c11 emits pairs of start and end; each start carries an attachment that stays
 * with its flow. The backend c11 takes at most 64 events in one call, and counts what it gets and what is not as the ABI
 * says. It is also the example of a module in C.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"

#define NUMBER "org.example.number/1"

/* What the core offers; copied by size, so that an older core is told from a newer one. */
static flowd_result read_host(flowd_host* copy, const flowd_host* host) {
    memset(copy, 0, sizeof *copy);
    memcpy(copy, host, host->size < sizeof *copy ? host->size : sizeof *copy);
    if (copy->log == NULL || copy->emit == NULL || copy->sender_id == NULL) return FLOWD_UNSUPPORTED;
    return copy->post != NULL && copy->ready != NULL ? FLOWD_OK : FLOWD_UNSUPPORTED;
}

static flowd_string text(const char* words) {
    flowd_string string = {words, strlen(words)};
    return string;
}

static flowd_bytes bytes(const char* words) {
    flowd_bytes piece = {(const uint8_t*)words, strlen(words)};
    return piece;
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
    uint64_t sender;
};

static const flowd_option source_options[] = {
    {.size = sizeof(flowd_option),
     .type = FLOWD_OPTION_INTEGER,
     .name = "pairs",
     .doc = "How many flows start and end.",
     .flags = FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM,
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
    self->sender = self->calls.sender_id(host, bytes("uid:0"));
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
        const int starts = self->done % 2 == 0;
        char number[24];
        flowd_attachment attachment;
        flowd_event event;
        size_t accepted = 0;
        uint64_t flow_id = 0;
        snprintf(number, sizeof number, "%" PRIu64, self->done / 2);
        memset(&attachment, 0, sizeof attachment);
        attachment.size = sizeof attachment;
        attachment.flags = FLOWD_ATTACHMENT_KEEP;
        attachment.id = text(NUMBER);
        attachment.bytes = bytes(number);
        memset(&event, 0, sizeof event);
        event.size = sizeof event;
        event.kind = starts ? FLOWD_EVENT_START : FLOWD_EVENT_END;
        event.tag.experiment = 2;
        event.tag.activity = 7;
        event.sender = self->sender;
        event.rule = text("pairs");
        flow_of(&event.key, self->done / 2);
        if (starts) {
            event.attachments = &attachment;
            event.attachment_count = 1;
            event.attachment_stride = sizeof attachment;
        } else {
            event.end_reason = FLOWD_END_ANNOUNCED;
            event.usage.source = FLOWD_USAGE_APPLICATION;
            event.usage.known = FLOWD_USAGE_BYTES;
            event.usage.bytes_sent = 4711;
        }
        switch (self->calls.emit(self->host, &event, 1, sizeof event, &accepted, &flow_id)) {
            case FLOWD_OK:
                if (flow_id == 0) say(self->host, "no id for flow %s", number);
                break;
            case FLOWD_FULL:
            case FLOWD_NO_MEMORY:
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
    struct source* self = (struct source*)instance;
    (void)deadline_ns;
    (void)reason;
    say(self->host, "emitted %" PRIu64 " of %" PRIu64 " events", self->done - self->refused, self->events);
    return FLOWD_OK;
}

static void destroy(flowd_instance* instance) {
    free(instance);
}

/* ---- the backend ---- */

struct sink {
    const flowd_host* host;
    flowd_host calls;
    uint64_t starts;
    uint64_t ends;
    uint64_t disorder; /* an end without its start: never, says the ABI */
    uint64_t unlike;   /* not what the plugin c11 emitted, or what the core has to add is missing */
    uint64_t rests;    /* calls that took a part */
};

static flowd_result sink_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    struct sink* self = calloc(1, sizeof *self);
    (void)config;
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    if (read_host(&self->calls, host) != FLOWD_OK) {
        free(self);
        return FLOWD_UNSUPPORTED;
    }
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

static flowd_result sink_start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}

static int is(flowd_string string, const char* words) {
    return string.length == strlen(words) && memcmp(string.data, words, string.length) == 0;
}

/* The plugin c11 announces hosts of 2001:db8::/48. */
static int is_of_c11(const flowd_key* key) {
    static const uint8_t network[] = {0x20, 0x01, 0x0d, 0xb8, 0, 0};
    return memcmp(key->source, network, sizeof network) == 0;
}

/* An event of the plugin c11, with what the core adds. */
static int is_whole(const flowd_event* event) {
    const flowd_attachment* attachment = event->attachments;
    if (event->flow_id == 0 || event->tag.experiment != 2 || event->tag.activity != 7) return 0;
    if (event->precedence != FLOWD_PRECEDENCE_EXPLICIT || event->sender == 0 || event->time_ns == 0) return 0;
    if (!is(event->announcer, "c11") || !is(event->rule, "pairs")) return 0;
    if (event->attachment_count != 1 || !is(attachment->id, NUMBER) || attachment->bytes.length == 0) return 0;
    if (event->kind == FLOWD_EVENT_START) return event->end_reason == 0;
    return event->end_reason == FLOWD_END_ANNOUNCED && event->usage.bytes_sent == 4711 &&
           event->usage.source == FLOWD_USAGE_APPLICATION && event->usage.known == FLOWD_USAGE_BYTES;
}

static void sink_is_ready(void* user) {
    struct sink* self = user;
    self->calls.ready(self->host);
}

static flowd_result sink_on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                                   size_t* taken) {
    enum { MOST = 64 };
    struct sink* self = (struct sink*)instance;
    const size_t some = count < MOST ? count : MOST;
    for (*taken = 0; *taken < some; ++*taken) {
        const flowd_event* event = (const flowd_event*)((const char*)events + *taken * stride);
        if (event->size < sizeof *event) return FLOWD_UNSUPPORTED;
        if (event->kind == FLOWD_EVENT_START) ++self->starts;
        if (event->kind == FLOWD_EVENT_END) ++self->ends;
        if (event->kind == FLOWD_EVENT_END && (event->flags & FLOWD_NO_START) != 0) ++self->disorder;
        if (is_of_c11(&event->key) && !is_whole(event)) ++self->unlike;
    }
    if (*taken == count) return FLOWD_OK;
    ++self->rests;
    return self->calls.post(self->host, sink_is_ready, self) == FLOWD_OK ? FLOWD_FULL : FLOWD_ERROR;
}

static flowd_result sink_stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    struct sink* self = (struct sink*)instance;
    (void)deadline_ns;
    (void)reason;
    say(self->host, "saw %" PRIu64 " starts, %" PRIu64 " ends, %" PRIu64 " out of order", self->starts, self->ends,
        self->disorder);
    return FLOWD_OK;
}

static flowd_result sink_status(flowd_instance* instance, const flowd_writer* answer) {
    struct sink* self = (struct sink*)instance;
    char json[256];
    snprintf(json, sizeof json,
             "{\"summary\":\"takes %d events a call\",\"starts\":%" PRIu64 ",\"ends\":%" PRIu64 ",\"outOfOrder\":%" PRIu64
             ",\"unlike\":%" PRIu64 ",\"rests\":%" PRIu64 "}",
             64, self->starts, self->ends, self->disorder, self->unlike, self->rests);
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
