/* SPDX-License-Identifier: Apache-2.0 */
/* Uses what only the process that loads it happens to have: a function of the C++ runtime, of which it names no library. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
char* __cxa_demangle(const char* mangled, char* buffer, size_t* length, int* status);
static flowd_result start(flowd_instance* instance) {
    int status = 0;
    (void)instance;
    free(__cxa_demangle("i", NULL, NULL, &status));
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
