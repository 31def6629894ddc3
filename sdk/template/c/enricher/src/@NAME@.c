/* SPDX-License-Identifier: Apache-2.0 */
/* A sampler of live connections: tells of each TCP flow which congestion control this host gives to new sockets. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core.h"

static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_PATH, .name = "file", .doc = "Where the name of the congestion control stands.",
     .default_text = "/proc/sys/net/ipv4/tcp_congestion_control"},
};

struct sampler {
    const flowd_host* host;
    flowd_host calls;
    char file[256];
    char congestion[32];
};

static flowd_result create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    const flowd_string file = value(config, 0)->text;
    struct sampler* self = calloc(1, sizeof *self);
    if (self == NULL) return FLOWD_NO_MEMORY;
    self->host = host;
    self->calls = calls_of(host);
    if (file.length >= sizeof self->file) {
        const flowd_result result = fail(host, &self->calls, FLOWD_INVALID, "file", "the name is longer than 255 bytes");
        free(self); /* neither stop nor destroy follows */
        return result;
    }
    memcpy(self->file, file.data, file.length);
    *instance = (flowd_instance*)self;
    return FLOWD_OK;
}

static flowd_result prepare(flowd_instance* instance) {
    struct sampler* self = (struct sampler*)instance;
    FILE* file = fopen(self->file, "r");
    if (file == NULL) return fail(self->host, &self->calls, FLOWD_NOT_FOUND, "file", "the file cannot be read");
    if (fgets(self->congestion, sizeof self->congestion, file) != NULL) self->congestion[strcspn(self->congestion, "\n")] = '\0';
    fclose(file);
    return FLOWD_OK;
}

static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}

/* Once per period for all live flows, in batches: ask the kernel once for all of them, not once for each. */
static flowd_result sample(flowd_instance* instance, const flowd_flow* flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples* samples) {
    struct sampler* self = (struct sampler*)instance;
    struct timespec now;
    (void)last;
    timespec_get(&now, TIME_UTC);
    for (size_t i = 0; i < count; ++i) {
        const flowd_flow* flow = element(flows, i, stride);
        flowd_sample one = {.size = sizeof one};
        if (flow->key.protocol != 6) continue; /* TCP */
        one.flow_id = flow->flow_id;
        one.time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        one.congestion = text(self->congestion);
        if (samples->add(samples, &one) == FLOWD_STOPPED) break;
    }
    return FLOWD_OK;
}

static flowd_result stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)instance;
    (void)deadline_ns;
    (void)reason;
    return FLOWD_OK;
}

static void destroy(flowd_instance* instance) { free(instance); }

static const flowd_component component = {
    .size = sizeof component,
    .kind = FLOWD_ENRICHER,
    .name = "@NAME@",
    .summary = "Adds the default congestion control to TCP flows.",
    .loop = FLOWD_LOOP_HOSTED,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_stride = sizeof options[0],
    .create = create,
    .prepare = prepare,
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .sample = sample,
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
