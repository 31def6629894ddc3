/* SPDX-License-Identifier: Apache-2.0 */
/* Opens, and never closes. */
#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
#include <fcntl.h>
static flowd_result start(flowd_instance* instance) {
    (void)instance;
    return open("/dev/null", O_RDONLY) >= 0 ? FLOWD_OK : FLOWD_ERROR;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .start = start}};
ZOO_MODULE(components)
