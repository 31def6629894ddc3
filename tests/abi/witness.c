/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that names every struct and function type of the ABI, extensions included, so that abidw has something to
 * look at: the border itself is headers and one symbol that modules, not the core, export.
 * tests/abi/check-baseline asserts that none is forgotten.
 */
#include "flowd/abi/ext/acknowledge.h"
#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/daemon.h"
#include "flowd/abi/ext/delivery.h"
#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/history.h"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/plan.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/abi/ext/shared.h"
#include "flowd/abi/ext/status.h"
#include "flowd/abi/ext/tool.h"
#include "flowd/abi/module.h"

#define WITNESS(type)                                                                 \
    __attribute__((visibility("default"))) void flowd_witness_##type(const type* it); \
    void flowd_witness_##type(const type* it) {                                       \
        (void)it;                                                                     \
    }

/* base.h */
WITNESS(flowd_string)
WITNESS(flowd_bytes)
WITNESS(flowd_tag)
WITNESS(flowd_problem)
WITNESS(flowd_problems)
WITNESS(flowd_writer)
/* event.h */
WITNESS(flowd_key)
WITNESS(flowd_usage)
WITNESS(flowd_attachment)
WITNESS(flowd_sample)
WITNESS(flowd_event)
WITNESS(flowd_flow)
/* host.h */
WITNESS(flowd_host)
WITNESS(flowd_label)
WITNESS(flowd_metric_info)
WITNESS(flowd_refusal)
WITNESS(flowd_io_callback)
WITNESS(flowd_callback)
/* option.h */
WITNESS(flowd_option)
WITNESS(flowd_value)
/* module.h */
WITNESS(flowd_samples)
WITNESS(flowd_component)
WITNESS(flowd_module)
WITNESS(flowd_module_function)
/* ext */
WITNESS(flowd_command)
WITNESS(flowd_ext_command)
WITNESS(flowd_answered)
WITNESS(flowd_ext_daemon)
WITNESS(flowd_ext_acknowledge)
WITNESS(flowd_ext_delivery)
WITNESS(flowd_socket)
WITNESS(flowd_socket_visitor)
WITNESS(flowd_ext_descriptors)
WITNESS(flowd_observed)
WITNESS(flowd_observer)
WITNESS(flowd_ext_events)
WITNESS(flowd_explanation)
WITNESS(flowd_explanations)
WITNESS(flowd_ext_explain)
WITNESS(flowd_finding)
WITNESS(flowd_findings)
WITNESS(flowd_ext_findings)
WITNESS(flowd_flow_filter)
WITNESS(flowd_flow_visitor)
WITNESS(flowd_ext_flows)
WITNESS(flowd_minute)
WITNESS(flowd_minute_visitor)
WITNESS(flowd_ext_history)
WITNESS(flowd_interface)
WITNESS(flowd_interface_visitor)
WITNESS(flowd_ext_interfaces)
WITNESS(flowd_series)
WITNESS(flowd_series_visitor)
WITNESS(flowd_ext_metrics)
WITNESS(flowd_connection)
WITNESS(flowd_planned)
WITNESS(flowd_plan)
WITNESS(flowd_ext_plan)
WITNESS(flowd_ext_registry)
WITNESS(flowd_ext_shared)
WITNESS(flowd_ext_status)
WITNESS(flowd_tool_call)
WITNESS(flowd_tool)
WITNESS(flowd_ext_tool)
