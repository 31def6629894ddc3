/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one event more than there are. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    (void)taken;
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i <= count; ++i) sum += ((const flowd_event*)(const void*)((const char*)events + i * stride))->flow_id;
    instance->host = sum == 1 ? NULL : instance->host;
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0,
                                              .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events,
                                              .start = zoo_start}};
ZOO_MODULE(components)
