// SPDX-License-Identifier: Apache-2.0
// Fireflies as each known emitter writes them (forms, not recordings): addresses are from the documentation ranges.
#pragma once

#include <string>
#include <string_view>

#include "flowd/address.hpp"

namespace flowd::firefly::fixtures {

[[nodiscard]] inline Endpoint endpoint(const char* address, std::uint16_t port) {
    return {Address::parse(address).value(), port};
}

// flowd (Python): blanks behind : and ,; netlink as an array; start-time null on the end.
inline constexpr std::string_view flowd_py_start =
    R"(<134>1 2026-03-01T07:03:52.243523+00:00 se1 flowd - firefly-json - {"version": 1, "flow-lifecycle": {"state": "start", "current-time": "2026-03-01T07:03:52.243619+00:00", "start-time": "2026-03-01T07:03:52.241520+00:00"}, "flow-id": {"afi": "ipv6", "src-ip": "2001:db8::1", "dst-ip": "2001:db8:1::2", "protocol": "tcp", "src-port": 35404, "dst-port": 1094}, "context": {"experiment-id": 2, "activity-id": 16, "application": "flowd v1.1.7"}, "netlink": ["established", {"src": "2001:db8::1", "retrans": 0, "tcp_info": {"rtt": 0.163, "opts": ["ts", "sack"], "max_pacing_rate": 18446744073709551615}, "cong_algo": "bbr"}]})";
inline constexpr std::string_view flowd_py_end =
    R"(<134>1 2026-03-01T07:03:57.242326+00:00 se1 flowd - firefly-json - {"version": 1, "flow-lifecycle": {"state": "end", "current-time": "2026-03-01T07:03:57.242339+00:00", "start-time": null, "end-time": "2026-03-01T07:03:57.241878+00:00"}, "flow-id": {"afi": "ipv6", "src-ip": "2001:db8::1", "dst-ip": "2001:db8:1::2", "protocol": "tcp", "src-port": 35404, "dst-port": 1094}, "context": {"experiment-id": 2, "activity-id": 16, "application": "flowd v1.1.7"}, "netlink": ["established", {}]})";

// flowd-go: an empty header time on start and end, fractions trimmed, start-time "" without enricher, local offsets.
inline constexpr std::string_view flowd_go_end =
    R"(<134>1  se2.example.org flowd-go-2.4.2 - firefly-json - {"version":1,"flow-lifecycle":{"state":"end","start-time":"","end-time":"2026-02-24T16:57:42.1+00:00"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":1234,"dst-port":5678},"context":{"experiment-id":2,"activity-id":15,"application":"flowd-go-2.4.2"}})";
inline constexpr std::string_view flowd_go_ongoing_lean =
    R"(<134>1 2026-02-24T16:57:00.5+00:00 se2.example.org flowd-go-2.4.2 - firefly-json - {"version":1,"flow-lifecycle":{"state":"ongoing","current-time":"2026-02-24T16:57:00.5+00:00","start-time":"2026-02-24T17:56:42.251384+01:00"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":1234,"dst-port":5678},"context":{"experiment-id":2,"activity-id":15,"application":"flowd-go-2.4.2"},"netlink":{"cong":{"algorithm":"cubic"},"tcpInfo":{"rtt":102345,"bytesSent":52428800}},"skOps":{"tcpInfo":{"rtt":1}}})";
inline constexpr std::string_view flowd_go_bare =
    R"({"version":1,"flow-lifecycle":{"state":"start","start-time":"2026-02-24T16:56:42.251384+00:00"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":1234,"dst-port":5678},"context":{"experiment-id":2,"activity-id":2,"application":"flowd-go-2.4.2"}})";
inline constexpr std::string_view flowd_go_wildcard =
    R"({"version":1,"flow-lifecycle":{"state":"start","start-time":""},"flow-id":{"afi":"ipv6","src-ip":"::","dst-ip":"::","protocol":"tcp","src-port":0,"dst-port":0},"context":{"experiment-id":2,"activity-id":2,"application":"flowd-go-2.4.2"}})";

// XRootD: NILVALUE for the header's time; usage and netlink.rtt always; an order of its own.
inline constexpr std::string_view xrootd_end =
    R"(<134>1 - eos01.example.org xrootd - firefly-json - {"version":1,"flow-lifecycle":{"state":"end","current-time":"2026-06-24T08:49:24.230146+00:00","start-time":"2026-06-24T08:48:24.201540+00:00","end-time":"2026-06-24T08:49:24.230146+00:00"},"usage":{"received":813,"sent":10507049000},"netlink":{"rtt":101.053},"context":{"experiment-id":3,"activity-id":14,"application":"http-put"},"flow-id":{"afi":"ipv4","src-ip":"192.0.2.10","dst-ip":"198.51.100.20","protocol":"tcp","src-port":40122,"dst-port":1094}})";

// dCache: Z and 0 to 9 digits; the host name is an address; usage {} at the start; storage-stats; any order.
inline constexpr std::string_view dcache_start =
    R"(<134>1 2026-07-22T10:50:10.123456789Z 2001:db8::1 dCache - firefly-json - {"flow-lifecycle":{"state":"start","current-time":"2026-07-22T10:50:10.123456789Z","start-time":"2026-07-22T10:50:10Z"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":35358,"dst-port":20100},"context":{"experiment-id":2,"activity-id":16,"application":"https"},"usage":{},"version":1})";
inline constexpr std::string_view dcache_end =
    R"(<134>1 2026-07-22T10:51:10Z 2001:db8::1 dCache - firefly-json - {"flow-lifecycle":{"state":"end","current-time":"2026-07-22T10:51:10Z","start-time":"2026-07-22T10:50:10.123Z","end-time":"2026-07-22T10:51:09.876Z"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":35358,"dst-port":20100},"context":{"experiment-id":2,"activity-id":16,"application":"remotehttpsdatatransfer"},"usage":{"received":0,"sent":5368709120},"version":1,"storage-stats":{"bytes-transferred":5368709120,"read-active":"PT58.1S","write-idle":"0"}})";

/// What was printed, without the member `flowd` that stands at its end.
[[nodiscard]] inline std::string without_member(std::string_view text) {
    const auto at = text.find(",\"flowd\":{");
    return at == std::string_view::npos ? std::string(text) : std::string(text.substr(0, at)) + "}";
}

/// flowd_go_bare with one piece replaced; asserts nothing, so look that the piece is there.
[[nodiscard]] inline std::string with(std::string_view piece, std::string_view other,
                                      std::string_view firefly = flowd_go_bare) {
    std::string text(firefly);
    const auto at = text.find(piece);
    if (at == std::string::npos) return "no such piece: " + std::string(piece);
    return text.replace(at, piece.size(), other);
}

}  // namespace flowd::firefly::fixtures
