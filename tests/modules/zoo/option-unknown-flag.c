/* SPDX-License-Identifier: Apache-2.0 */
/* A row with a flag of a later minor. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_STRING, .name = "what", .doc = "Who knows.", .flags = 1u << 31},
};
static const flowd_component components[] = {{ZOO_COMPONENT, .options = options,
                                              .option_count = sizeof options / sizeof options[0],
                                              .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
