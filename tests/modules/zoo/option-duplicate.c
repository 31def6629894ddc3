/* SPDX-License-Identifier: Apache-2.0 */
/* The same option twice. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_STRING, .name = "text", .doc = "Text."},
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_STRING, .name = "text", .doc = "Text."},
};
static const flowd_component components[] = {{ZOO_COMPONENT, .options = options,
                                              .option_count = sizeof options / sizeof options[0],
                                              .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
