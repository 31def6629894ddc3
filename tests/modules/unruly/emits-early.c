/* SPDX-License-Identifier: Apache-2.0 */
/* Emits before start. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result prepare(flowd_instance* instance) {
    const flowd_event event = {.size = sizeof event, .kind = FLOWD_EVENT_START};
    size_t accepted = 0;
    (void)instance->host->emit(instance->host, &event, 1, sizeof event, &accepted, NULL);
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .prepare = prepare}};
ZOO_MODULE(components)
