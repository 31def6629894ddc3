// SPDX-License-Identifier: Apache-2.0
// Separate from the component, so that tests can link the component alone.
#include "plugins/iperf3/iperf3.hpp"

FLOWD_MODULE(flowd::iperf3::Iperf3);
