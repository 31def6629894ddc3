/* SPDX-License-Identifier: Apache-2.0 */
/* Uses what only the process that loads it happens to have: the daemon links libsystemd. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
int sd_notify(int unset_environment, const char* state);
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    (void)sd_notify(0, "");
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
