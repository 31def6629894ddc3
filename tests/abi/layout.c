/* SPDX-License-Identifier: Apache-2.0 */
/* Written by tests/abi/make-layout. Compiled and run as a test: what it asserts holds for all of major 1. */
/* clang-format off */
#include <string.h>

#include "flowd/abi/base.h"
#include "flowd/abi/event.h"
#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/descriptors.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/ext/metrics.h"
#include "flowd/abi/ext/registry.h"
#include "flowd/abi/ext/shared.h"
#include "flowd/abi/ext/status.h"
#include "flowd/abi/ext/tool.h"
#include "flowd/abi/host.h"
#include "flowd/abi/module.h"
#include "flowd/abi/note.h"
#include "flowd/abi/option.h"

#define HOLDS(condition) _Static_assert(condition, #condition)

HOLDS(sizeof(flowd_string) == 16);
HOLDS(offsetof(flowd_string, data) == 0);
HOLDS(offsetof(flowd_string, length) == 8);
HOLDS(sizeof(flowd_bytes) == 16);
HOLDS(offsetof(flowd_bytes, data) == 0);
HOLDS(offsetof(flowd_bytes, length) == 8);
HOLDS(sizeof(flowd_tag) == 8);
HOLDS(offsetof(flowd_tag, experiment) == 0);
HOLDS(offsetof(flowd_tag, activity) == 4);
HOLDS(sizeof(flowd_problem) >= 80);
HOLDS(offsetof(flowd_problem, size) == 0);
HOLDS(offsetof(flowd_problem, level) == 4);
HOLDS(offsetof(flowd_problem, result) == 8);
HOLDS(offsetof(flowd_problem, reserved) == 12);
HOLDS(offsetof(flowd_problem, option) == 16);
HOLDS(offsetof(flowd_problem, found) == 32);
HOLDS(offsetof(flowd_problem, message) == 48);
HOLDS(offsetof(flowd_problem, hint) == 64);
HOLDS(sizeof(flowd_problems) >= 24);
HOLDS(offsetof(flowd_problems, size) == 0);
HOLDS(offsetof(flowd_problems, reserved) == 4);
HOLDS(offsetof(flowd_problems, context) == 8);
HOLDS(offsetof(flowd_problems, report) == 16);
HOLDS(sizeof(flowd_writer) >= 24);
HOLDS(offsetof(flowd_writer, size) == 0);
HOLDS(offsetof(flowd_writer, reserved) == 4);
HOLDS(offsetof(flowd_writer, context) == 8);
HOLDS(offsetof(flowd_writer, write) == 16);
HOLDS(FLOWD_OK == 0);
HOLDS(FLOWD_STOPPED == 1);
HOLDS(FLOWD_FULL == 2);
HOLDS(FLOWD_ERROR == -1);
HOLDS(FLOWD_INVALID == -2);
HOLDS(FLOWD_UNSUPPORTED == -3);
HOLDS(FLOWD_NOT_FOUND == -4);
HOLDS(FLOWD_DENIED == -5);
HOLDS(FLOWD_BUSY == -6);
HOLDS(FLOWD_LIMIT == -7);
HOLDS(FLOWD_EXCEPTION == -8);
HOLDS(FLOWD_NO_MEMORY == -9);
HOLDS(FLOWD_LEVEL_TRACE == 0);
HOLDS(FLOWD_LEVEL_DEBUG == 1);
HOLDS(FLOWD_LEVEL_INFO == 2);
HOLDS(FLOWD_LEVEL_WARNING == 3);
HOLDS(FLOWD_LEVEL_ERROR == 4);
HOLDS(sizeof(flowd_key) == 48);
HOLDS(offsetof(flowd_key, source) == 0);
HOLDS(offsetof(flowd_key, destination) == 16);
HOLDS(offsetof(flowd_key, source_port) == 32);
HOLDS(offsetof(flowd_key, destination_port) == 34);
HOLDS(offsetof(flowd_key, protocol) == 36);
HOLDS(offsetof(flowd_key, reserved) == 37);
HOLDS(offsetof(flowd_key, scope) == 40);
HOLDS(sizeof(flowd_usage) == 32);
HOLDS(offsetof(flowd_usage, bytes_sent) == 0);
HOLDS(offsetof(flowd_usage, bytes_received) == 8);
HOLDS(offsetof(flowd_usage, packets_sent) == 16);
HOLDS(offsetof(flowd_usage, packets_received) == 24);
HOLDS(sizeof(flowd_attachment) >= 40);
HOLDS(offsetof(flowd_attachment, size) == 0);
HOLDS(offsetof(flowd_attachment, reserved) == 4);
HOLDS(offsetof(flowd_attachment, id) == 8);
HOLDS(offsetof(flowd_attachment, bytes) == 24);
HOLDS(sizeof(flowd_sample) >= 120);
HOLDS(offsetof(flowd_sample, size) == 0);
HOLDS(offsetof(flowd_sample, flags) == 4);
HOLDS(offsetof(flowd_sample, flow_id) == 8);
HOLDS(offsetof(flowd_sample, time_ns) == 16);
HOLDS(offsetof(flowd_sample, source) == 24);
HOLDS(offsetof(flowd_sample, tcp_info) == 40);
HOLDS(offsetof(flowd_sample, congestion) == 56);
HOLDS(offsetof(flowd_sample, cookie) == 72);
HOLDS(offsetof(flowd_sample, tcp_state) == 80);
HOLDS(offsetof(flowd_sample, reserved) == 81);
HOLDS(offsetof(flowd_sample, usage) == 88);
HOLDS(sizeof(flowd_event) >= 208);
HOLDS(offsetof(flowd_event, size) == 0);
HOLDS(offsetof(flowd_event, kind) == 4);
HOLDS(offsetof(flowd_event, flags) == 8);
HOLDS(offsetof(flowd_event, local) == 12);
HOLDS(offsetof(flowd_event, initiator) == 13);
HOLDS(offsetof(flowd_event, reserved) == 14);
HOLDS(offsetof(flowd_event, flow_id) == 16);
HOLDS(offsetof(flowd_event, key) == 24);
HOLDS(offsetof(flowd_event, tag) == 72);
HOLDS(offsetof(flowd_event, time_ns) == 80);
HOLDS(offsetof(flowd_event, start_time_ns) == 88);
HOLDS(offsetof(flowd_event, end_time_ns) == 96);
HOLDS(offsetof(flowd_event, usage) == 104);
HOLDS(offsetof(flowd_event, sender) == 136);
HOLDS(offsetof(flowd_event, application) == 144);
HOLDS(offsetof(flowd_event, attachments) == 160);
HOLDS(offsetof(flowd_event, attachment_count) == 168);
HOLDS(offsetof(flowd_event, attachment_stride) == 176);
HOLDS(offsetof(flowd_event, samples) == 184);
HOLDS(offsetof(flowd_event, sample_count) == 192);
HOLDS(offsetof(flowd_event, sample_stride) == 200);
HOLDS(sizeof(flowd_flow) >= 152);
HOLDS(offsetof(flowd_flow, size) == 0);
HOLDS(offsetof(flowd_flow, flags) == 4);
HOLDS(offsetof(flowd_flow, flow_id) == 8);
HOLDS(offsetof(flowd_flow, key) == 16);
HOLDS(offsetof(flowd_flow, tag) == 64);
HOLDS(offsetof(flowd_flow, start_time_ns) == 72);
HOLDS(offsetof(flowd_flow, seen_time_ns) == 80);
HOLDS(offsetof(flowd_flow, usage) == 88);
HOLDS(offsetof(flowd_flow, local) == 120);
HOLDS(offsetof(flowd_flow, initiator) == 121);
HOLDS(offsetof(flowd_flow, reserved) == 122);
HOLDS(offsetof(flowd_flow, announcers) == 128);
HOLDS(offsetof(flowd_flow, reserved2) == 132);
HOLDS(offsetof(flowd_flow, application) == 136);
HOLDS(FLOWD_EVENT_START == 1);
HOLDS(FLOWD_EVENT_ONGOING == 2);
HOLDS(FLOWD_EVENT_END == 3);
HOLDS(FLOWD_EVENT_CATCH_ALL == 4);
HOLDS(FLOWD_EVENT_CATCH_ALL_CLEAR == 5);
HOLDS(FLOWD_LOCAL_UNKNOWN == 0);
HOLDS(FLOWD_LOCAL_SOURCE == 1);
HOLDS(FLOWD_LOCAL_DESTINATION == 2);
HOLDS(FLOWD_LOCAL_BOTH == 3);
HOLDS(FLOWD_LOCAL_NONE == 4);
HOLDS(FLOWD_INITIATOR_UNKNOWN == 0);
HOLDS(FLOWD_INITIATOR_SOURCE == 1);
HOLDS(FLOWD_INITIATOR_DESTINATION == 2);
HOLDS(FLOWD_FROM_FIREFLY == 1);
HOLDS(FLOWD_METERED == 2);
HOLDS(FLOWD_HAS_USAGE == 4);
HOLDS(FLOWD_COLLECTORS_ONLY == 8);
HOLDS(FLOWD_WITHDRAWN == 16);
HOLDS(FLOWD_RETAGGED == 65536);
HOLDS(FLOWD_EXPIRED == 131072);
HOLDS(FLOWD_RESYNC == 262144);
HOLDS(FLOWD_NO_START == 524288);
HOLDS(FLOWD_SAMPLED == 1048576);
HOLDS(FLOWD_SAMPLE_GONE == 1);
HOLDS(FLOWD_SAMPLE_HAS_USAGE == 2);
HOLDS(sizeof(flowd_command) >= 32);
HOLDS(offsetof(flowd_command, size) == 0);
HOLDS(offsetof(flowd_command, flags) == 4);
HOLDS(offsetof(flowd_command, name) == 8);
HOLDS(offsetof(flowd_command, arguments) == 16);
HOLDS(offsetof(flowd_command, summary) == 24);
HOLDS(sizeof(flowd_ext_command) >= 40);
HOLDS(offsetof(flowd_ext_command, size) == 0);
HOLDS(offsetof(flowd_ext_command, reserved) == 4);
HOLDS(offsetof(flowd_ext_command, commands) == 8);
HOLDS(offsetof(flowd_ext_command, command_count) == 16);
HOLDS(offsetof(flowd_ext_command, command_stride) == 24);
HOLDS(offsetof(flowd_ext_command, run) == 32);
HOLDS(FLOWD_COMMAND_CHANGES == 1);
HOLDS(sizeof(flowd_ext_descriptors) >= 32);
HOLDS(offsetof(flowd_ext_descriptors, size) == 0);
HOLDS(offsetof(flowd_ext_descriptors, reserved) == 4);
HOLDS(offsetof(flowd_ext_descriptors, take) == 8);
HOLDS(offsetof(flowd_ext_descriptors, keep) == 16);
HOLDS(offsetof(flowd_ext_descriptors, forget) == 24);
HOLDS(sizeof(flowd_ext_flows) >= 32);
HOLDS(offsetof(flowd_ext_flows, size) == 0);
HOLDS(offsetof(flowd_ext_flows, reserved) == 4);
HOLDS(offsetof(flowd_ext_flows, visit) == 8);
HOLDS(offsetof(flowd_ext_flows, find) == 16);
HOLDS(offsetof(flowd_ext_flows, count) == 24);
HOLDS(sizeof(flowd_series) >= 112);
HOLDS(offsetof(flowd_series, size) == 0);
HOLDS(offsetof(flowd_series, type) == 4);
HOLDS(offsetof(flowd_series, name) == 8);
HOLDS(offsetof(flowd_series, help) == 24);
HOLDS(offsetof(flowd_series, unit) == 40);
HOLDS(offsetof(flowd_series, labels) == 56);
HOLDS(offsetof(flowd_series, label_count) == 64);
HOLDS(offsetof(flowd_series, label_stride) == 72);
HOLDS(offsetof(flowd_series, value) == 80);
HOLDS(offsetof(flowd_series, bounds) == 88);
HOLDS(offsetof(flowd_series, buckets) == 96);
HOLDS(offsetof(flowd_series, bound_count) == 104);
HOLDS(sizeof(flowd_ext_metrics) >= 16);
HOLDS(offsetof(flowd_ext_metrics, size) == 0);
HOLDS(offsetof(flowd_ext_metrics, reserved) == 4);
HOLDS(offsetof(flowd_ext_metrics, visit) == 8);
HOLDS(sizeof(flowd_ext_registry) >= 40);
HOLDS(offsetof(flowd_ext_registry, size) == 0);
HOLDS(offsetof(flowd_ext_registry, reserved) == 4);
HOLDS(offsetof(flowd_ext_registry, experiment_id) == 8);
HOLDS(offsetof(flowd_ext_registry, activity_id) == 16);
HOLDS(offsetof(flowd_ext_registry, experiment_name) == 24);
HOLDS(offsetof(flowd_ext_registry, activity_name) == 32);
HOLDS(sizeof(flowd_ext_shared) >= 32);
HOLDS(offsetof(flowd_ext_shared, size) == 0);
HOLDS(offsetof(flowd_ext_shared, reserved) == 4);
HOLDS(offsetof(flowd_ext_shared, offer) == 8);
HOLDS(offsetof(flowd_ext_shared, withdraw) == 16);
HOLDS(offsetof(flowd_ext_shared, obtain) == 24);
HOLDS(sizeof(flowd_ext_status) >= 16);
HOLDS(offsetof(flowd_ext_status, size) == 0);
HOLDS(offsetof(flowd_ext_status, reserved) == 4);
HOLDS(offsetof(flowd_ext_status, status) == 8);
HOLDS(sizeof(flowd_tool_call) >= 40);
HOLDS(offsetof(flowd_tool_call, size) == 0);
HOLDS(offsetof(flowd_tool_call, interrupt_fd) == 4);
HOLDS(offsetof(flowd_tool_call, host) == 8);
HOLDS(offsetof(flowd_tool_call, options) == 16);
HOLDS(offsetof(flowd_tool_call, config) == 24);
HOLDS(offsetof(flowd_tool_call, output) == 32);
HOLDS(sizeof(flowd_tool) >= 56);
HOLDS(offsetof(flowd_tool, size) == 0);
HOLDS(offsetof(flowd_tool, reserved) == 4);
HOLDS(offsetof(flowd_tool, name) == 8);
HOLDS(offsetof(flowd_tool, summary) == 16);
HOLDS(offsetof(flowd_tool, options) == 24);
HOLDS(offsetof(flowd_tool, option_count) == 32);
HOLDS(offsetof(flowd_tool, option_stride) == 40);
HOLDS(offsetof(flowd_tool, run) == 48);
HOLDS(sizeof(flowd_ext_tool) >= 32);
HOLDS(offsetof(flowd_ext_tool, size) == 0);
HOLDS(offsetof(flowd_ext_tool, reserved) == 4);
HOLDS(offsetof(flowd_ext_tool, tools) == 8);
HOLDS(offsetof(flowd_ext_tool, tool_count) == 16);
HOLDS(offsetof(flowd_ext_tool, tool_stride) == 24);
HOLDS(sizeof(flowd_label) >= 40);
HOLDS(offsetof(flowd_label, size) == 0);
HOLDS(offsetof(flowd_label, reserved) == 4);
HOLDS(offsetof(flowd_label, name) == 8);
HOLDS(offsetof(flowd_label, value) == 24);
HOLDS(sizeof(flowd_metric_info) >= 96);
HOLDS(offsetof(flowd_metric_info, size) == 0);
HOLDS(offsetof(flowd_metric_info, type) == 4);
HOLDS(offsetof(flowd_metric_info, name) == 8);
HOLDS(offsetof(flowd_metric_info, help) == 24);
HOLDS(offsetof(flowd_metric_info, unit) == 40);
HOLDS(offsetof(flowd_metric_info, labels) == 56);
HOLDS(offsetof(flowd_metric_info, label_count) == 64);
HOLDS(offsetof(flowd_metric_info, label_stride) == 72);
HOLDS(offsetof(flowd_metric_info, bounds) == 80);
HOLDS(offsetof(flowd_metric_info, bound_count) == 88);
HOLDS(sizeof(flowd_host) >= 176);
HOLDS(offsetof(flowd_host, size) == 0);
HOLDS(offsetof(flowd_host, abi_major) == 4);
HOLDS(offsetof(flowd_host, abi_minor) == 8);
HOLDS(offsetof(flowd_host, reserved) == 12);
HOLDS(offsetof(flowd_host, context) == 16);
HOLDS(offsetof(flowd_host, instance) == 24);
HOLDS(offsetof(flowd_host, core_version) == 32);
HOLDS(offsetof(flowd_host, log) == 40);
HOLDS(offsetof(flowd_host, report) == 48);
HOLDS(offsetof(flowd_host, emit) == 56);
HOLDS(offsetof(flowd_host, post) == 64);
HOLDS(offsetof(flowd_host, loop_fd) == 72);
HOLDS(offsetof(flowd_host, dispatch) == 80);
HOLDS(offsetof(flowd_host, watch) == 88);
HOLDS(offsetof(flowd_host, rewatch) == 96);
HOLDS(offsetof(flowd_host, unwatch) == 104);
HOLDS(offsetof(flowd_host, timer) == 112);
HOLDS(offsetof(flowd_host, cancel) == 120);
HOLDS(offsetof(flowd_host, metric_open) == 128);
HOLDS(offsetof(flowd_host, metric_add) == 136);
HOLDS(offsetof(flowd_host, metric_set) == 144);
HOLDS(offsetof(flowd_host, metric_observe) == 152);
HOLDS(offsetof(flowd_host, metric_remove) == 160);
HOLDS(offsetof(flowd_host, extension) == 168);
HOLDS(FLOWD_IO_READ == 1);
HOLDS(FLOWD_IO_WRITE == 2);
HOLDS(FLOWD_IO_ERROR == 4);
HOLDS(FLOWD_METRIC_COUNTER == 1);
HOLDS(FLOWD_METRIC_GAUGE == 2);
HOLDS(FLOWD_METRIC_HISTOGRAM == 3);
HOLDS(sizeof(flowd_samples) >= 24);
HOLDS(offsetof(flowd_samples, size) == 0);
HOLDS(offsetof(flowd_samples, reserved) == 4);
HOLDS(offsetof(flowd_samples, context) == 8);
HOLDS(offsetof(flowd_samples, add) == 16);
HOLDS(sizeof(flowd_component) >= 176);
HOLDS(offsetof(flowd_component, size) == 0);
HOLDS(offsetof(flowd_component, kind) == 4);
HOLDS(offsetof(flowd_component, name) == 8);
HOLDS(offsetof(flowd_component, summary) == 16);
HOLDS(offsetof(flowd_component, aliases) == 24);
HOLDS(offsetof(flowd_component, loop) == 32);
HOLDS(offsetof(flowd_component, precedence) == 36);
HOLDS(offsetof(flowd_component, accepts) == 40);
HOLDS(offsetof(flowd_component, reserved) == 44);
HOLDS(offsetof(flowd_component, options) == 48);
HOLDS(offsetof(flowd_component, option_count) == 56);
HOLDS(offsetof(flowd_component, option_stride) == 64);
HOLDS(offsetof(flowd_component, validate) == 72);
HOLDS(offsetof(flowd_component, create) == 80);
HOLDS(offsetof(flowd_component, prepare) == 88);
HOLDS(offsetof(flowd_component, start) == 96);
HOLDS(offsetof(flowd_component, run) == 104);
HOLDS(offsetof(flowd_component, stop) == 112);
HOLDS(offsetof(flowd_component, destroy) == 120);
HOLDS(offsetof(flowd_component, reconfigure) == 128);
HOLDS(offsetof(flowd_component, on_events) == 136);
HOLDS(offsetof(flowd_component, sample) == 144);
HOLDS(offsetof(flowd_component, on_room) == 152);
HOLDS(offsetof(flowd_component, extension) == 160);
HOLDS(offsetof(flowd_component, offline) == 168);
HOLDS(sizeof(flowd_module) >= 64);
HOLDS(offsetof(flowd_module, size) == 0);
HOLDS(offsetof(flowd_module, abi_major) == 4);
HOLDS(offsetof(flowd_module, abi_minor) == 8);
HOLDS(offsetof(flowd_module, reserved) == 12);
HOLDS(offsetof(flowd_module, name) == 16);
HOLDS(offsetof(flowd_module, version) == 24);
HOLDS(offsetof(flowd_module, license) == 32);
HOLDS(offsetof(flowd_module, components) == 40);
HOLDS(offsetof(flowd_module, component_count) == 48);
HOLDS(offsetof(flowd_module, component_stride) == 56);
HOLDS(FLOWD_PLUGIN == 1);
HOLDS(FLOWD_BACKEND == 2);
HOLDS(FLOWD_ENRICHER == 3);
HOLDS(FLOWD_LOOP_HOSTED == 0);
HOLDS(FLOWD_LOOP_OWN == 1);
HOLDS(FLOWD_PRECEDENCE_METER == 16);
HOLDS(FLOWD_PRECEDENCE_RULE == 32);
HOLDS(FLOWD_PRECEDENCE_EXPLICIT == 48);
HOLDS(sizeof(flowd_option) >= 112);
HOLDS(offsetof(flowd_option, size) == 0);
HOLDS(offsetof(flowd_option, type) == 4);
HOLDS(offsetof(flowd_option, name) == 8);
HOLDS(offsetof(flowd_option, doc) == 16);
HOLDS(offsetof(flowd_option, flags) == 24);
HOLDS(offsetof(flowd_option, reserved) == 28);
HOLDS(offsetof(flowd_option, aliases) == 32);
HOLDS(offsetof(flowd_option, default_text) == 40);
HOLDS(offsetof(flowd_option, unit) == 48);
HOLDS(offsetof(flowd_option, choices) == 56);
HOLDS(offsetof(flowd_option, deprecated_by) == 64);
HOLDS(offsetof(flowd_option, minimum) == 72);
HOLDS(offsetof(flowd_option, maximum) == 80);
HOLDS(offsetof(flowd_option, fields) == 88);
HOLDS(offsetof(flowd_option, field_count) == 96);
HOLDS(offsetof(flowd_option, field_stride) == 104);
HOLDS(sizeof(flowd_value) >= 104);
HOLDS(offsetof(flowd_value, size) == 0);
HOLDS(offsetof(flowd_value, type) == 4);
HOLDS(offsetof(flowd_value, flags) == 8);
HOLDS(offsetof(flowd_value, reserved) == 12);
HOLDS(offsetof(flowd_value, integer) == 16);
HOLDS(offsetof(flowd_value, number) == 24);
HOLDS(offsetof(flowd_value, text) == 32);
HOLDS(offsetof(flowd_value, key) == 48);
HOLDS(offsetof(flowd_value, address) == 64);
HOLDS(offsetof(flowd_value, items) == 80);
HOLDS(offsetof(flowd_value, item_count) == 88);
HOLDS(offsetof(flowd_value, item_stride) == 96);
HOLDS(FLOWD_OPTION_BOOLEAN == 1);
HOLDS(FLOWD_OPTION_INTEGER == 2);
HOLDS(FLOWD_OPTION_NUMBER == 3);
HOLDS(FLOWD_OPTION_STRING == 4);
HOLDS(FLOWD_OPTION_CHOICE == 5);
HOLDS(FLOWD_OPTION_DURATION == 6);
HOLDS(FLOWD_OPTION_SIZE == 7);
HOLDS(FLOWD_OPTION_ADDRESS == 8);
HOLDS(FLOWD_OPTION_NETWORK == 9);
HOLDS(FLOWD_OPTION_HOST == 10);
HOLDS(FLOWD_OPTION_PATH == 11);
HOLDS(FLOWD_OPTION_EXPERIMENT == 12);
HOLDS(FLOWD_OPTION_ACTIVITY == 13);
HOLDS(FLOWD_OPTION_GROUP == 14);
HOLDS(FLOWD_OPTION_LIST == 15);
HOLDS(FLOWD_OPTION_MAP == 16);
HOLDS(FLOWD_OPTION_REQUIRED == 1);
HOLDS(FLOWD_OPTION_SECRET == 2);
HOLDS(FLOWD_OPTION_TRUSTED == 4);
HOLDS(FLOWD_VALUE_PRESENT == 1);
HOLDS(FLOWD_VALUE_WRITTEN == 2);
HOLDS(FLOWD_ABI_MAJOR == 1);

int main(void) {
    return 0 ||
           strcmp(FLOWD_ATTACHMENT_KEPT, "flow/") != 0 ||
           strcmp(FLOWD_ATTACHMENT_DATAGRAM, "flowd.datagram/1") != 0 ||
           strcmp(FLOWD_ATTACHMENT_JSON, "flowd.json/") != 0 ||
           strcmp(FLOWD_EXT_COMMAND, "flowd.command/1") != 0 ||
           strcmp(FLOWD_EXT_DESCRIPTORS, "flowd.descriptors/1") != 0 ||
           strcmp(FLOWD_EXT_FLOWS, "flowd.flows/1") != 0 ||
           strcmp(FLOWD_EXT_METRICS, "flowd.metrics/1") != 0 ||
           strcmp(FLOWD_EXT_REGISTRY, "flowd.registry/1") != 0 ||
           strcmp(FLOWD_EXT_SHARED, "flowd.shared/1") != 0 ||
           strcmp(FLOWD_SHARED_SOCKET_TAGS, "flowd.socketTags/1") != 0 ||
           strcmp(FLOWD_SHARED_SOCKET_TAGGERS, "flowd.socketTaggers/1") != 0 ||
           strcmp(FLOWD_EXT_STATUS, "flowd.status/1") != 0 ||
           strcmp(FLOWD_EXT_TOOL, "flowd.tool/1") != 0 ||
           strcmp(FLOWD_MODULE_SYMBOL, "flowd_module_v1") != 0 ||
           strcmp(FLOWD_NOTE_SECTION, ".note.flowd") != 0 ||
           strcmp(FLOWD_NOTE_OWNER, "flowd") != 0;
}
