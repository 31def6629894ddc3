/* SPDX-License-Identifier: Apache-2.0 */
/* Answers an error when there are no flows. */
#include "tests/modules/zoo/zoo.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nenricher=zoo\n");
static flowd_result sample(flowd_instance* instance, const flowd_flow* flows, size_t count, size_t stride, int32_t last,
                           const flowd_samples* samples) {
    (void)instance;
    (void)last;
    (void)flows;
    (void)stride;
    (void)samples;
    return count == 0 ? FLOWD_ERROR : FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .kind = FLOWD_ENRICHER, .precedence = 0, .sample = sample}};
ZOO_MODULE(components)
