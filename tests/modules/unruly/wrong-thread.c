/* SPDX-License-Identifier: Apache-2.0 */
/* Sets a timer from a thread of its own. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
#include <pthread.h>
static void fired(void* nothing) {
    (void)nothing;
}
static void* set_timer(void* argument) {
    const flowd_instance* instance = (const flowd_instance*)argument;
    flowd_timer timer = 0;
    (void)instance->host->timer(instance->host, 1000000000, 0, fired, NULL, &timer);
    return NULL;
}
static flowd_result start(flowd_instance* instance) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, set_timer, instance) != 0) return FLOWD_ERROR;
    pthread_join(thread, NULL);
    return FLOWD_OK;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
