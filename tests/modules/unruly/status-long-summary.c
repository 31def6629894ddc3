/* SPDX-License-Identifier: Apache-2.0 */
/* A summary that does not fit its columns. */
#include "tests/modules/zoo/zoo.h"

#include <string.h>

#include "flowd/abi/ext/status.h"

ZOO_NOTE;
static const char json[] = "{\"summary\":\"marks eth0, eth1, eth2 and eth3, and waits for eth4, eth5, eth6 and eth7\"}";
static flowd_result status(flowd_instance* instance, const flowd_writer* answer) {
    const flowd_string text = {json, sizeof json - 1};
    (void)instance;
    answer->write(answer, text);
    return FLOWD_OK;
}
static const void* extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_status offered = {.size = sizeof offered, .status = status};
    (void)instance;
    return strcmp(id, FLOWD_EXT_STATUS) == 0 ? &offered : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .extension = extension}};
ZOO_MODULE(components)
