/* SPDX-License-Identifier: Apache-2.0 */
/* A row of an unknown type. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = 99, .name = "what", .doc = "Who knows."},
};
static const flowd_component components[] = {{ZOO_COMPONENT, .options = options,
                                              .option_count = sizeof options / sizeof options[0],
                                              .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
