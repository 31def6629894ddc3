/* SPDX-License-Identifier: Apache-2.0 */
/* A bound that nothing says is one. */
#include "zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_INTEGER, .name = "what", .doc = "Who knows.", .maximum = 5},
};
static const flowd_component components[] = {{ZOO_COMPONENT, .options = options,
                                              .option_count = sizeof options / sizeof options[0],
                                              .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
