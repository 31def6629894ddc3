/* SPDX-License-Identifier: Apache-2.0 */
/* Emits an event of no kind. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    const flowd_event event = {.size = sizeof event, .kind = 42};
    size_t accepted = 0;
    (void)instance->host->emit(instance->host, &event, 1, sizeof event, &accepted, NULL);
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
