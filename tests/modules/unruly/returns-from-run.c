/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of its own that ends by itself. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result run(flowd_instance* instance) {
    (void)instance;
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .loop = FLOWD_LOOP_OWN, .run = run}};
ZOO_MODULE(components)
