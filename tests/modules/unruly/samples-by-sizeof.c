/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the flows by sizeof instead of the stride, and believes what it finds. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nenricher=zoo\n");
static flowd_result sample(flowd_instance* instance, const flowd_flow* flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples* samples) {
    (void)instance;
    (void)last;
    size_t i;
    (void)stride;
    (void)samples;
    for (i = 0; i < count; ++i)
        if (flows[i].tag.experiment != 14) abort();
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_ENRICHER, .precedence = 0, .sample = sample}};
ZOO_MODULE(components)
