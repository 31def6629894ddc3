/* SPDX-License-Identifier: Apache-2.0 */
/* Adds three samples of each flow of a large batch. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nenricher=zoo\n");
static flowd_result sample(flowd_instance* instance, const flowd_flow* flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples* samples) {
    (void)instance;
    (void)last;
    size_t i;
    if (count < 1000) return FLOWD_OK;
    for (i = 0; i < 3 * count; ++i) {
        const flowd_flow* flow = (const flowd_flow*)((const char*)flows + i / 3 * stride);
        const flowd_sample sample = {.size = sizeof sample, .flow_id = flow->flow_id};
        samples->add(samples, &sample);
    }
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_ENRICHER, .precedence = 0, .sample = sample}};
ZOO_MODULE(components)
