/* SPDX-License-Identifier: Apache-2.0 */
/* A status that is not JSON. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
#include <string.h>
#include "flowd/abi/ext/status.h"
static flowd_result status(flowd_instance* instance, const flowd_writer* answer) {
    const flowd_string text = {"all is well", 11};
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
