/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the rules, and has options that are written as names of the registry. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static const flowd_option options[] = {
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_EXPERIMENT, .name = "experiment", .doc = "An experiment."},
    {.size = sizeof(flowd_option), .type = FLOWD_OPTION_ACTIVITY, .name = "activity", .doc = "An activity."}};
static const flowd_component components[] = {
    {ZOO_COMPONENT, .options = options, .option_count = 2, .option_stride = sizeof options[0]}};
ZOO_MODULE(components)
