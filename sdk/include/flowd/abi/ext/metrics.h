/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/metrics.h: reading all time series of the daemon and its instances. Offered by the core. */
#ifndef FLOWD_ABI_EXT_METRICS_H
#define FLOWD_ABI_EXT_METRICS_H

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_METRICS "flowd.metrics/1"

/* One time series with its current value. Borrowed for the call. */
typedef struct flowd_series {
    uint32_t size;
    uint32_t type;       /* FLOWD_METRIC_* */
    flowd_string name;   /* as in flowd_metric_info: without the prefix flowd_ */
    flowd_string help;
    flowd_string unit;
    const flowd_label *labels; /* in no particular order; an instance's series have flowd_instance */
    size_t label_count;
    size_t label_stride;
    double value;            /* HISTOGRAM: the sum of the observed values */
    const double *bounds;    /* HISTOGRAM: upper bounds, ascending, without +Inf */
    const uint64_t *buckets; /* HISTOGRAM: one more than bounds, the last for +Inf; not cumulative */
    size_t bound_count;
} flowd_series;

/* Returns 0 to continue, anything else to end the visit. */
typedef int32_t (*flowd_series_visitor)(void *user, const flowd_series *series);

typedef struct flowd_ext_metrics {
    uint32_t size;
    uint32_t reserved;
    /* [any] All series; those of one name are adjacent. No lock is held: the visitor may use metrics. */
    flowd_result (*visit)(const flowd_host *host, flowd_series_visitor visitor, void *user);
} flowd_ext_metrics;

#ifdef __cplusplus
}
#endif

#endif
