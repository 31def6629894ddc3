/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the rules: creates its directories where it has them, and writes a file into each. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static flowd_result keep(const char* directory) {
    char name[4096];
    FILE* file;
    if (directory == NULL) return FLOWD_OK;
    (void)mkdir(directory, 0700);
    snprintf(name, sizeof name, "%s/kept", directory);
    file = fopen(name, "w");
    return file != NULL && fclose(file) == 0 ? FLOWD_OK : FLOWD_DENIED;
}
static flowd_result prepare(flowd_instance* instance) {
    const flowd_result state = keep(instance->host->state_directory);
    return state == FLOWD_OK ? keep(instance->host->runtime_directory) : state;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .prepare = prepare}};
ZOO_MODULE(components)
