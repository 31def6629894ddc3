/* SPDX-License-Identifier: Apache-2.0 */
/* Walks by sizeof instead of the stride, and believes what it finds. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nbackend=zoo\n");
static flowd_result on_events(flowd_instance* instance, const flowd_event* events, size_t count, size_t stride,
                              size_t* taken) {
    (void)taken;
    size_t i;
    (void)instance;
    (void)stride;
    for (i = 0; i < count; ++i)
        if (events[i].kind > FLOWD_EVENT_CATCH_ALL_CLEAR) abort();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_BACKEND, .precedence = 0,
                                              .accepts = 1u << FLOWD_EVENT_START, .on_events = on_events,
                                              .start = zoo_start}};
ZOO_MODULE(components)
