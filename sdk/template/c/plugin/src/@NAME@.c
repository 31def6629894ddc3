/* SPDX-License-Identifier: Apache-2.0 */
/* A source of flow events: announces one flow, as configured, for as long as it runs. */
#include <stdio.h>
#include <stdlib.h>

#include "core.h"

enum { SOURCE, SOURCE_PORT, DESTINATION, DESTINATION_PORT, EXPERIMENT, ACTIVITY, OPTIONS }; /* rows of the table */

static const flowd_option options[OPTIONS] = {
    [SOURCE] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_ADDRESS, .name = "source", .doc = "Address of this host.",
                .flags = FLOWD_OPTION_REQUIRED},
    [SOURCE_PORT] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_INTEGER, .name = "sourcePort",
                     .doc = "Port of this host.", .minimum = 1, .maximum = 65535,
                     .flags = FLOWD_OPTION_REQUIRED | FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM},
    [DESTINATION] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_ADDRESS, .name = "destination",
                     .doc = "Address of the other host.", .flags = FLOWD_OPTION_REQUIRED},
    [DESTINATION_PORT] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_INTEGER, .name = "destinationPort",
                          .doc = "Port of the other host.", .default_text = "443", .minimum = 1, .maximum = 65535,
                          .flags = FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM},
    [EXPERIMENT] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_EXPERIMENT, .name = "experimentId",
                    .doc = "Experiment of the flow.", .minimum = 0, .maximum = 511,
                    .flags = FLOWD_OPTION_REQUIRED | FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM},
    [ACTIVITY] = {.size = sizeof(flowd_option), .type = FLOWD_OPTION_ACTIVITY, .name = "activityId",
                  .doc = "Activity of the flow.", .minimum = 0, .maximum = 63,
                  .flags = FLOWD_OPTION_REQUIRED | FLOWD_OPTION_MINIMUM | FLOWD_OPTION_MAXIMUM},
};

struct source {
    const flowd_host* host;
    flowd_host calls;
    flowd_key key;
    flowd_tag tag;
    int announced;
    int waits; /* the core had no room for the start; on_room follows */
};

static flowd_key key_of(const flowd_value* config) {
    flowd_key key;
    memset(&key, 0, sizeof key);
    memcpy(key.source, value(config, SOURCE)->address, sizeof key.source);
    memcpy(key.destination, value(config, DESTINATION)->address, sizeof key.destination);
    key.source_port = (uint16_t)value(config, SOURCE_PORT)->integer;
    key.destination_port = (uint16_t)value(config, DESTINATION_PORT)->integer;
    key.protocol = 6; /* TCP */
    return key;
}

static flowd_tag tag_of(const flowd_value* config) {
    flowd_tag tag = {(uint32_t)value(config, EXPERIMENT)->integer, (uint32_t)value(config, ACTIVITY)->integer};
    return tag;
}

/* Rules that concern several options. `flowd-cpp check` calls this without privileges. */
static flowd_result validate(const flowd_host* host, const flowd_value* config, const flowd_problems* problems) {
    flowd_problem problem = {.size = sizeof problem, .level = FLOWD_LEVEL_ERROR, .result = FLOWD_INVALID};
    (void)host;
    if (memcmp(value(config, SOURCE)->address, value(config, DESTINATION)->address, 16) != 0) return FLOWD_OK;
    problem.option = text("destination");
    problem.message = text("source and destination are the same address");
    problem.hint = text("name the other host");
    problems->report(problems, &problem);
    return FLOWD_INVALID;
}

static flowd_result create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    struct source* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    self->calls = calls_of(host);
    self->key = key_of(config); /* `config` is borrowed: what is needed later is copied */
    self->tag = tag_of(config);
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

static flowd_result emit(struct source* self, uint32_t kind) {
    flowd_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.key = self->key;
    event.tag = self->tag;
    event.local = FLOWD_LOCAL_SOURCE;
    event.application = text("@NAME@");
    event.rule = text("the configuration");
    if (kind == FLOWD_EVENT_END) event.end_reason = FLOWD_END_WITHDRAWN; /* the connection may still be open */
    return self->calls.emit(self->host, &event, 1, sizeof event, NULL, NULL);
}

static flowd_result announce(struct source* self) {
    const flowd_result result = emit(self, FLOWD_EVENT_START);
    self->waits = result == FLOWD_FULL || result == FLOWD_NO_MEMORY;
    if (self->waits) return FLOWD_OK;
    if (result != FLOWD_OK) return fail(self->host, &self->calls, result, "", "the core refused the flow");
    self->announced = 1;
    return FLOWD_OK;
}

/* A real plugin emits from a watch (calls.watch) or a timer (calls.timer), and reads no further while the core has no room. */
static flowd_result start(flowd_instance* instance) { return announce((struct source*)instance); }

static void on_room(flowd_instance* instance) {
    struct source* self = (struct source*)instance;
    if (self->waits) (void)announce(self);
}

static flowd_result reconfigure(flowd_instance* instance, const flowd_value* config) {
    struct source* self = (struct source*)instance;
    const flowd_key key = key_of(config);
    if (memcmp(&key, &self->key, sizeof key) != 0) return FLOWD_UNSUPPORTED; /* the core creates a new instance, stops this one */
    self->tag = tag_of(config);
    return announce(self); /* a start of a live flow with another tag re-tags it */
}

static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    struct source* self = (struct source*)instance;
    (void)deadline_ns;
    (void)reason;
    if (self->announced) (void)emit(self, FLOWD_EVENT_END); /* without room, the core ends the flow itself */
    self->announced = 0;                                    /* stop may be called twice */
    self->waits = 0;
    return FLOWD_OK;
}

static void destroy(flowd_instance* instance) { free(instance); }

static flowd_result status(flowd_instance* instance, const flowd_writer* answer) {
    const struct source* self = (const struct source*)instance;
    char json[80];
    snprintf(json, sizeof json, "{\"summary\":\"%s\",\"announced\":%s}", self->waits ? "waits for room" : "announces one flow",
             self->announced ? "true" : "false");
    return answer->write(answer, text(json));
}

static const void* extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_status with_status = {.size = sizeof with_status, .status = status};
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &with_status : NULL;
}

static const flowd_component component = {
    .size = sizeof component,
    .kind = FLOWD_PLUGIN,
    .name = "@NAME@",
    .summary = "Announces one TCP flow for as long as it runs.",
    .loop = FLOWD_LOOP_HOSTED,
    /* If several plugins announce one flow, the tag of the highest precedence applies. RULE: the tag is in the configuration, as
     * here. EXPLICIT: the application said which experiment it works for. METER: the flow was observed, nobody announced it. */
    .precedence = FLOWD_PRECEDENCE_RULE,
    .options = options,
    .option_count = OPTIONS,
    .option_stride = sizeof options[0],
    .validate = validate,
    .create = create,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .reconfigure = reconfigure,
    .on_room = on_room,
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
