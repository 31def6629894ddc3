/* SPDX-License-Identifier: Apache-2.0 */
/* A thread goes on after destroy. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
#include <pthread.h>
#include <unistd.h>
static void* wait_for_ever(void* nothing) {
    for (;;) pause();
    return nothing;
}
static flowd_result start(flowd_instance* instance) {
    pthread_t thread;
    (void)instance;
    return pthread_create(&thread, NULL, wait_for_ever, NULL) == 0 ? FLOWD_OK : FLOWD_ERROR;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
