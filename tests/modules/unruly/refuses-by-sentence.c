/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a sentence for the reason of a refusal. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result start(flowd_instance* instance) {
    const flowd_refusal refusal = {.size = sizeof refusal, .reason = {"Not JSON.", 9}};
    instance->host->refused(instance->host, &refusal);
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
