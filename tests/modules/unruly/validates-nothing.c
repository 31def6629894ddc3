/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses every configuration. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result validate(const flowd_host* host, const flowd_value* config, const flowd_problems* problems) {
    const flowd_problem problem = {
        .size = sizeof problem, .level = FLOWD_LEVEL_ERROR, .result = FLOWD_INVALID, .message = {"cannot be had", 13}};
    (void)host;
    (void)config;
    problems->report(problems, &problem);
    return FLOWD_INVALID;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .validate = validate}};
ZOO_MODULE(components)
