/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is common to the zoo: a plugin that would be fine. Each broken module is this with one thing changed.
 *   ZOO_NOTE                     the ELF note that fits
 *   ZOO_COMPONENT, overrides     members of a flowd_component; later initialisers override earlier ones
 *   ZOO_MODULE(components)       the rest: descriptor and entry
 */
#ifndef FLOWD_TESTS_ZOO_H
#define FLOWD_TESTS_ZOO_H

#include <stdlib.h>

#include "flowd/abi/module.h"
#include "flowd/abi/note.h"

struct flowd_instance {
    const flowd_host* host;
};

static inline flowd_result zoo_create(const flowd_host* host, const flowd_value* config, flowd_instance** instance) {
    (void)config;
    *instance = (flowd_instance*)malloc(sizeof(flowd_instance));
    if (*instance == NULL) return FLOWD_NO_MEMORY;
    (*instance)->host = host;
    return FLOWD_OK;
}
static inline flowd_result zoo_start(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}
static inline flowd_result zoo_stop(flowd_instance* instance, int64_t deadline_ns, uint32_t reason) {
    (void)reason;
    (void)instance;
    (void)deadline_ns;
    return FLOWD_OK;
}
static inline void zoo_destroy(flowd_instance* instance) {
    free(instance);
}
static inline flowd_result zoo_on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                                         size_t* taken) {
    (void)taken;
    (void)instance;
    (void)events;
    (void)count;
    (void)stride;
    return FLOWD_OK;
}

#define ZOO_NOTE FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nplugin=zoo\n")

#define ZOO_COMPONENT                                                                                          \
    .size = sizeof(flowd_component), .kind = FLOWD_PLUGIN, .name = "zoo", .summary = "A plugin that is fine.", \
    .precedence = FLOWD_PRECEDENCE_EXPLICIT, .create = zoo_create, .start = zoo_start, .stop = zoo_stop,       \
    .destroy = zoo_destroy

#define ZOO_DESCRIPTOR(list)                                                                                 \
    .size = sizeof(flowd_module), .abi_major = FLOWD_ABI_MAJOR, .abi_minor = FLOWD_ABI_MINOR, .name = "zoo", \
    .version = "1.0", .license = "Apache-2.0", .components = (const flowd_component*)(list),                 \
    .component_count = sizeof(list) / sizeof((list)[0]), .component_stride = sizeof((list)[0])

#define ZOO_MODULE(list)                                               \
    const flowd_module* flowd_module_v1(uint32_t core_minor) {         \
        static const flowd_module zoo_module = {ZOO_DESCRIPTOR(list)}; \
        (void)core_minor;                                              \
        return &zoo_module;                                            \
    }

#endif
