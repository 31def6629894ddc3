-- SPDX-License-Identifier: Apache-2.0
-- A dashboard of the last day.
-- Volume and flows by experiment and activity.
SELECT dictGetOrDefault('tags', 'experiment', (experiment, activity), toString(experiment)) AS experiment_name,
       dictGetOrDefault('tags', 'activity', (experiment, activity), toString(activity)) AS activity_name,
       count() AS flows, formatReadableSize(sum(received + sent)) AS volume
FROM fireflies FINAL WHERE state = 'end' AND time > now() - INTERVAL 1 DAY
GROUP BY experiment, activity ORDER BY sum(received + sent) DESC LIMIT 20;

-- Mean throughput of flows that ended, by minute, in Gbit/s.
SELECT toStartOfMinute(end) AS minute, experiment,
       sum((received + sent) * 8 / greatest(dateDiff('microsecond', start, assumeNotNull(end)) / 1e6, 0.001)) / 1e9 AS gigabits
FROM fireflies FINAL WHERE state = 'end' AND time > now() - INTERVAL 1 DAY AND end IS NOT NULL
GROUP BY minute, experiment ORDER BY minute, experiment;

-- Flows that have started and not ended, at present.
SELECT experiment, count() AS live FROM
(
    SELECT fingerprint, start, any(experiment) AS experiment, max(state = 'end') AS has_ended
    FROM fireflies FINAL WHERE time > now() - INTERVAL 1 DAY GROUP BY fingerprint, start
)
WHERE NOT has_ended GROUP BY experiment ORDER BY live DESC;

-- Pairs of hosts with the largest volume.
SELECT source, destination, count() AS flows, sum(received + sent) AS bytes, avg(rtt_ms) AS rtt_ms
FROM fireflies FINAL WHERE state = 'end' AND time > now() - INTERVAL 1 DAY
GROUP BY source, destination ORDER BY bytes DESC LIMIT 20;

-- Duration of flows by experiment: median and 99th percentile, in seconds.
SELECT experiment, quantiles(0.5, 0.99)(dateDiff('microsecond', start, assumeNotNull(end)) / 1e6) AS seconds
FROM fireflies FINAL WHERE state = 'end' AND end IS NOT NULL AND time > now() - INTERVAL 1 DAY
GROUP BY experiment ORDER BY experiment;

-- Records that were delivered again.
SELECT count() AS records FROM fireflies WHERE redelivered AND time > now() - INTERVAL 1 DAY;
