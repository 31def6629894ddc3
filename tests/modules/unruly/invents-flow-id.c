/* SPDX-License-Identifier: Apache-2.0 */
/* Emits an event about a flow whose id it made up. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    const flowd_event event = {.size = sizeof event, .kind = FLOWD_EVENT_ONGOING, .flow_id = 4711};
    (void)instance->host->emit(instance->host, &event, 1, sizeof event, NULL, NULL);
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
