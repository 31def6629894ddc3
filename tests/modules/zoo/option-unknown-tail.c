/* SPDX-License-Identifier: Apache-2.0 */
/* A row with a later, non-zero member: to pass it over would change what the option means. */
#include "zoo.h"

ZOO_NOTE;
static const struct {
    flowd_option known;
    const char* added_later;
} options[] = {{.known = {.size = sizeof options[0], .type = FLOWD_OPTION_STRING, .name = "text", .doc = "Text."},
                .added_later = "x"}};
static const flowd_component components[] = {
    {ZOO_COMPONENT, .options = &options[0].known, .option_count = 1, .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
