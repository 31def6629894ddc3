/* SPDX-License-Identifier: Apache-2.0 */
/* An option that says nothing of itself. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_STRING, .name = "text", .doc = "text"}};
static const flowd_component components[] = {
    {ZOO_COMPONENT, .options = options, .option_count = 1, .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
