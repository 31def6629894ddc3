-- SPDX-License-Identifier: Apache-2.0
-- Tables of ClickHouse for the records of the kafka backend (docs/scaling.md).
-- Starts, ongoing and ends of flows. A record that is delivered again has the same sorting key and is merged away;
-- `FINAL` in a query does not see it even before that.
CREATE TABLE fireflies
(
    time        DateTime64(6, 'UTC'),
    state       Enum8('start' = 1, 'ongoing' = 2, 'end' = 3),
    fingerprint FixedString(64),
    start       DateTime64(6, 'UTC'),
    end         Nullable(DateTime64(6, 'UTC')),
    source      IPv6,
    destination IPv6,
    source_port UInt16,
    destination_port UInt16,
    protocol    LowCardinality(String),
    experiment  UInt32,
    activity    UInt32,
    application LowCardinality(String),
    received    Nullable(UInt64),
    sent        Nullable(UInt64),
    rtt_ms      Nullable(Float64),
    redelivered Bool
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (fingerprint, start, state, time)
TTL toDateTime(time) + INTERVAL 90 DAY;

-- The names of experiments and activities: flowd-cpp label export --for clickhouse > /var/lib/clickhouse/user_files/scitags.csv
CREATE DICTIONARY tags
(
    experiment_id UInt32, activity_id UInt32, experiment String, activity String
)
PRIMARY KEY experiment_id, activity_id
SOURCE(FILE(path '/var/lib/clickhouse/user_files/scitags.csv' format 'CSVWithNames'))
LIFETIME(3600) LAYOUT(COMPLEX_KEY_HASHED());

-- What the records are parsed to: one row of `json` each.
CREATE TABLE records (json String) ENGINE = Null;

CREATE MATERIALIZED VIEW records_to_fireflies TO fireflies AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(json, 'flow-lifecycle', 'current-time'), 6, 'UTC') AS time,
    JSONExtractString(json, 'flow-lifecycle', 'state') AS state,
    JSONExtractString(json, 'flow_fingerprint') AS fingerprint,
    parseDateTime64BestEffortOrZero(JSONExtractString(json, 'flow-lifecycle', 'start-time'), 6, 'UTC') AS start,
    parseDateTime64BestEffortOrNull(JSONExtractString(json, 'flow-lifecycle', 'end-time'), 6, 'UTC') AS end,
    toIPv6(JSONExtractString(json, 'flow-id', 'src-ip')) AS source,
    toIPv6(JSONExtractString(json, 'flow-id', 'dst-ip')) AS destination,
    JSONExtractUInt(json, 'flow-id', 'src-port') AS source_port,
    JSONExtractUInt(json, 'flow-id', 'dst-port') AS destination_port,
    JSONExtractString(json, 'flow-id', 'protocol') AS protocol,
    JSONExtractUInt(json, 'context', 'experiment-id') AS experiment,
    JSONExtractUInt(json, 'context', 'activity-id') AS activity,
    JSONExtractString(json, 'context', 'application') AS application,
    JSONExtract(json, 'usage', 'received', 'Nullable(UInt64)') AS received,
    JSONExtract(json, 'usage', 'sent', 'Nullable(UInt64)') AS sent,
    JSONExtract(json, 'netlink', 'rtt', 'Nullable(Float64)') AS rtt_ms,
    JSONExtractBool(json, 'redelivered') AS redelivered
FROM records;
