// SPDX-License-Identifier: Apache-2.0
// Apart from the component, so that tests link the component alone.
#include "plugins/iperf3/iperf3.hpp"

FLOWD_MODULE(flowd::iperf3::Iperf3);
