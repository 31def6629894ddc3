// SPDX-License-Identifier: Apache-2.0
// Apart from the component, so that tests link the component alone.
#include "plugins/api/api.hpp"

FLOWD_MODULE(flowd::api::Api);
