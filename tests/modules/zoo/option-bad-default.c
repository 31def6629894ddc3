/* SPDX-License-Identifier: Apache-2.0 */
/* A default that its own type refuses. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_INTEGER, .name = "port", .doc = "Port.", .default_text = "many"},
};
static const flowd_component components[] = {{ZOO_COMPONENT, .options = options,
                                              .option_count = sizeof options / sizeof options[0],
                                              .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
