/* SPDX-License-Identifier: Apache-2.0 */
/* Has every extension, by its own account. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static const void* extension(flowd_instance* instance, const char* id) {
    return instance != NULL ? id : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .extension = extension}};
ZOO_MODULE(components)
