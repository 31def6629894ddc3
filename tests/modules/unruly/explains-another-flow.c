/* SPDX-License-Identifier: Apache-2.0 */
/* Explains a flow that it was not asked about. */
#include "tests/modules/zoo/zoo.h"

#include <string.h>

#include "flowd/abi/ext/explain.h"

ZOO_NOTE;
static flowd_result explain(flowd_instance* instance, const flowd_flow* flows, size_t count, size_t stride,
                            const flowd_explanations* explanations) {
    const flowd_explanation explanation = {
        .size = sizeof explanation, .flow = (uint32_t)count, .verdict = "marked", .text = {"It is marked.", 13}};
    (void)instance;
    (void)flows;
    (void)stride;
    explanations->add(explanations, &explanation);
    return FLOWD_OK;
}
static const void* extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_explain offered = {.size = sizeof offered, .explain = explain};
    (void)instance;
    return strcmp(id, FLOWD_EXT_EXPLAIN) == 0 ? &offered : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .extension = extension}};
ZOO_MODULE(components)
