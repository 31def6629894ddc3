// SPDX-License-Identifier: Apache-2.0
// Apart from the component, so that tests link the component alone.
#include "plugins/fireflyp/fireflyp.hpp"

FLOWD_MODULE(flowd::fireflyp::Fireflyp);
