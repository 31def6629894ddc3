/* SPDX-License-Identifier: Apache-2.0 */
/* A second symbol is visible. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
__attribute__((visibility("default"))) int helper_of_zoo(void);
int helper_of_zoo(void) {
    return 1;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = zoo_start}};
ZOO_MODULE(components)
