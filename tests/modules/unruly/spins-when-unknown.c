/* SPDX-License-Identifier: Apache-2.0 */
/* Offers an event again until the answer is one that it knows. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    const flowd_event event = {.size = sizeof event, .kind = FLOWD_EVENT_CATCH_ALL_CLEAR};
    size_t accepted = 0;
    while (instance->host->emit(instance->host, &event, 1, sizeof event, &accepted, NULL) == -77) {
    }
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
