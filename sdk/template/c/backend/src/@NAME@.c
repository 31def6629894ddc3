/* SPDX-License-Identifier: Apache-2.0 */
/* A sink of flow events: counts starts, changes of a tag, and ends, and writes a line for each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core.h"

static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_BOOLEAN, .name = "quiet", .doc = "Count only, write no lines.",
     .default_text = "false"},
};

struct sink {
    const flowd_host* host;
    flowd_host calls;
    int quiet;
    uint64_t starts, retags, ends;
};

static flowd_result create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    struct sink* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    self->calls = calls_of(host);
    self->quiet = value(config, 0)->integer != 0;
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}

static void say(struct sink* self, const char* what, const flowd_event* event) {
    char line[80];
    if (self->quiet) return;
    snprintf(line, sizeof line, "%s of flow %" PRIu64 ", tag %" PRIu32 "/%" PRIu32, what, event->flow_id, event->tag.experiment,
             event->tag.activity);
    self->calls.log(self->host, FLOWD_LEVEL_INFO, text(line));
}

/* Borrowed until this returns. While it blocks, the bounded queue behind it fills. An instance receives one start and one end per flow; a
 * start with FLOWD_RESYNC may repeat what its predecessor received, before a reload or a restart. */
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride, size_t* taken) {
    struct sink* self = (struct sink*)instance;
    for (size_t i = 0; i < count; ++i) {
        const flowd_event* event = element(events, i, stride);
        if (event->kind == FLOWD_EVENT_START) {
            ++self->starts;
            say(self, "start", event);
        } else if (event->kind == FLOWD_EVENT_ONGOING && (event->flags & FLOWD_RETAGGED) != 0) {
            ++self->retags;
            say(self, "retag", event);
        } else if (event->kind == FLOWD_EVENT_END) {
            ++self->ends;
            say(self, "end", event);
        }
    }
    *taken = count; /* or fewer and FLOWD_FULL, and calls.ready when there is room for the rest */
    return FLOWD_OK;
}

static flowd_result reconfigure(flowd_instance* instance, const flowd_value* config) {
    ((struct sink*)instance)->quiet = value(config, 0)->integer != 0;
    return FLOWD_OK;
}

static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)instance;
    (void)deadline_ns;
    (void)reason;
    return FLOWD_OK;
}

static void destroy(flowd_instance* instance) { free(instance); }

static flowd_result status(flowd_instance* instance, const flowd_writer* answer) {
    const struct sink* self = (const struct sink*)instance;
    char json[160];
    snprintf(json, sizeof json, "{\"summary\":\"counts flows\",\"starts\":%" PRIu64 ",\"retags\":%" PRIu64 ",\"ends\":%" PRIu64 "}",
             self->starts, self->retags, self->ends);
    return answer->write(answer, text(json));
}

static const void* extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_status with_status = {.size = sizeof with_status, .status = status};
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &with_status : NULL;
}

static const flowd_component component = {
    .size = sizeof component,
    .kind = FLOWD_BACKEND,
    .name = "@NAME@",
    .summary = "Writes a line for each flow that starts, gets another tag or ends.",
    .loop = FLOWD_LOOP_HOSTED,
    .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_stride = sizeof options[0],
    .create = create,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .reconfigure = reconfigure,
    .on_events = on_events,
    .extension = extension,
};

const flowd_module* flowd_module_v1(uint32_t core_minor) {
    static const flowd_module module = {.size = sizeof module,
                                        .abi_major = FLOWD_ABI_MAJOR,
                                        .abi_minor = FLOWD_ABI_MINOR,
                                        .name = FLOWD_MODULE_NAME,
                                        .version = FLOWD_MODULE_VERSION,
                                        .license = FLOWD_MODULE_LICENSE,
                                        .components = &component,
                                        .component_count = 1,
                                        .component_stride = sizeof component};
    (void)core_minor;
    return &module;
}
