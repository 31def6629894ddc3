/* SPDX-License-Identifier: Apache-2.0 */
/* A note whose lengths lead out of its segment. */
#include "zoo.h"

__attribute__((section(FLOWD_NOTE_SECTION), used, aligned(4))) static const struct {
    uint32_t name_size, description_size, type;
    char name[8];
} note = {sizeof(FLOWD_NOTE_OWNER), 0xfffffff0u, FLOWD_NOTE_MODULE, FLOWD_NOTE_OWNER};
static const flowd_component components[] = {{ZOO_COMPONENT}};
ZOO_MODULE(components)
