/* SPDX-License-Identifier: Apache-2.0 */
/* The reading side of the marker's flow table, compiled for this machine: one bucket in memory of the test's. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/lib/flow_hash.h"
#include "bpf/marker_types.h"

static const struct marker_bucket* native_bucket;

#define bpf_map_lookup_elem(map, key) (*(key) == 0 ? (void*)native_bucket : 0)

#include "bpf/lib/flow_table.h"

/* Whether a packet of the flow finds its mark, and which. */
int native_flow_table_find(const struct marker_bucket* memory, const struct flow_key* key, __u32 epoch,
                           struct marker_mark* mark) {
    native_bucket = memory;
    return flow_table_find(key, flow_hash(key), epoch, mark);
}
