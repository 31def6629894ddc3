// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/coverage.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include "flowd/address.hpp"
#include "flowd/label.hpp"
#include "flowd/protocol.hpp"
#include "lib/watch/cgroup.hpp"

namespace flowd::marker {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t root_group = 1;
constexpr std::size_t most_groups = 65536;
constexpr std::size_t most_talkers = 10;
constexpr const char* tagged = "tagged";
constexpr std::array<const char*, MARKER_FAMILIES> families{"ipv6", "ipv4"};

/// The paths of control groups by id: in cgroup2 that is the inode number of the directory.
std::map<std::uint64_t, std::string> find_groups(std::set<std::uint64_t> wanted) {
    std::map<std::uint64_t, std::string> found{{root_group, "/"}};
    wanted.erase(root_group);
    const auto top = watch::find_cgroup({});
    if (!top) return found;
    const auto look = [&](const std::string& path) {
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0 && wanted.erase(status.st_ino) != 0)
            found.emplace(status.st_ino, path.substr(top->size()));
    };
    std::error_code error;
    std::size_t looked = 0;
    for (fs::recursive_directory_iterator it(*top, fs::directory_options::skip_permission_denied, error), end;
         !error && it != end && !wanted.empty() && looked < most_groups; it.increment(error))
        if (it->is_directory(error) && !it->is_symlink(error)) {
            ++looked;
            look(it->path());
        }
    return found;
}

std::string network_of(const marker_talker& talker) {
    std::uint8_t bytes[16]{};
    if (talker.family == MARKER_FAMILY_IPV4) {
        bytes[10] = bytes[11] = 0xff;
        std::memcpy(bytes + 12, reinterpret_cast<const std::uint8_t*>(&talker.network) + 4, 4);
        return Address(bytes).to_string() + "/24";
    }
    std::memcpy(bytes, &talker.network, sizeof talker.network);
    return Address(bytes).to_string() + "/64";
}

void write_share(json::Writer& w, const Share& share) {
    w.member("coverage", share.ratio()).member("taggedBytes", share.tagged).member("totalBytes", share.total);
}

double part_of(std::uint64_t bytes, std::uint64_t total) {
    return total == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(total);
}

}  // namespace

Result<Coverage> coverage_of(const Marking& marking) {
    Coverage all;
    std::set<int> counters;  // interfaces may share theirs: see MARKER_COUNTED_INTERFACES
    for (const auto& state : marking.attachments().states()) {
        const auto counts = marking.program().counts(state.link.index);
        if (!counts) return counts.error();
        const bool is_below = marking.is_below(state.link);
        const bool is_shared = !counters.insert(state.link.index % static_cast<int>(MARKER_COUNTED_INTERFACES)).second;
        for (std::uint32_t family = 0; family < MARKER_FAMILIES; ++family) {
            const Coverage::Place place(state.link.name, families[family]);
            Share& share = all.places[place];
            for (std::uint32_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome) {
                const std::uint64_t bytes = counts->bytes[family][outcome];
                if (bytes == 0) continue;
                const bool has_tag = marker_leaves_tagged(outcome);
                const char* const result = has_tag ? tagged : outcome_name(outcome);
                share.total += bytes;
                all.results[{place, result}] += bytes;
                if (has_tag) share.tagged += bytes;
                // What an upper interface has counted is not counted again.
                if (is_shared || (is_below && !is_marked(outcome))) continue;
                all.total.total += bytes;
                if (has_tag)
                    all.total.tagged += bytes;
                else
                    all.reasons[outcome_name(outcome)] += bytes;
            }
        }
    }
    const auto experiments = marking.program().experiments();
    if (!experiments) return experiments.error();
    for (std::uint32_t i = 0; i < experiments->size(); ++i)
        if ((*experiments)[i] != 0) all.experiments[label::reverse_experiment(i)] = (*experiments)[i];
    return all;
}

Result<std::vector<Talker>> talkers_of(const Marking& marking, std::size_t most) {
    auto counted = marking.program().talkers();
    if (!counted) return std::move(counted).error();
    std::sort(counted->begin(), counted->end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    if (counted->size() > most) counted->resize(most);
    std::set<std::uint64_t> ids;
    for (const auto& [talker, samples] : *counted) ids.insert(talker.cgroup);
    const auto groups = find_groups(std::move(ids));
    std::vector<Talker> all;
    for (const auto& [talker, samples] : *counted) {
        const auto group = groups.find(talker.cgroup);
        all.push_back({group != groups.end() ? group->second
                       : talker.cgroup == 0  ? "(no socket)"
                                             : "(control group " + std::to_string(talker.cgroup) + ")",
                       network_of(talker), ntohs(talker.port), protocol_name(talker.protocol), outcome_name(talker.outcome),
                       samples << MARKER_SAMPLE_SHIFT});
    }
    return all;
}

void CoverageSeries::publish() {
    const auto coverage = coverage_of(marking_);
    if (!coverage) return;
    std::map<std::vector<std::string>, Gauge> ratios;
    const auto gauge = [&](std::vector<std::string> key, const char* name, const char* help, const Labels& labels,
                           const Share& share) {
        if (share.total == 0) return;
        const auto known = ratios_.find(key);
        Gauge made = known != ratios_.end() ? std::move(known->second) : host_.gauge(name, help, labels);
        made.set(share.ratio());
        ratios.emplace(std::move(key), std::move(made));
    };
    gauge({}, "coverage_overall_ratio", "Share of the bytes of outgoing IP packets that left with a tag.", {},
          coverage->total);
    for (const auto& [place, share] : coverage->places)
        gauge({place.first, place.second}, "coverage_ratio",
              "Share of the bytes of outgoing IP packets that left with a tag, by interface and family.",
              {{"interface", place.first}, {"family", place.second}}, share);
    ratios_ = std::move(ratios);
    std::map<std::vector<std::string>, Counter> totals;
    const auto count = [&](std::vector<std::string> key, const char* name, const char* help, const Labels& labels,
                           std::uint64_t bytes) {
        const auto known = bytes_.find(key);
        Counter made = known != bytes_.end() ? std::move(known->second) : host_.counter(name, help, labels);
        made.set_total(static_cast<double>(bytes));
        totals.emplace(std::move(key), std::move(made));
    };
    for (const auto& [where, bytes] : coverage->results)
        count({where.first.first, where.first.second, where.second}, "coverage_bytes_total",
              "Bytes of outgoing IP packets by interface, family and result: tagged, or why not.",
              {{"interface", where.first.first}, {"family", where.first.second}, {"result", where.second}}, bytes);
    const Registry registry = host_.registry();
    for (const auto& [experiment, bytes] : coverage->experiments) {
        const std::string name(registry.experiment_name(experiment));
        count({std::to_string(experiment)}, "coverage_experiment_bytes_total",
              "Bytes of outgoing IP packets with a tag, by experiment.",
              {{"experiment", name.empty() ? std::to_string(experiment) : name}}, bytes);
    }
    bytes_ = std::move(totals);
}

Result<void> write_coverage(json::Writer& w, const Marking& marking, const Registry& registry) {
    const auto coverage = coverage_of(marking);
    if (!coverage) return coverage.error();
    const auto talkers = talkers_of(marking, most_talkers);
    if (!talkers) return talkers.error();
    w.object();
    write_share(w, coverage->total);
    w.key("interfaces").array();
    for (const auto& [place, share] : coverage->places) {
        w.object().member("interface", place.first).member("family", place.second);
        write_share(w, share);
        w.end();
    }
    w.end().key("experiments").array();
    for (const auto& [experiment, bytes] : coverage->experiments) {
        const std::string_view name = registry.experiment_name(experiment);
        w.object().member("experiment", name.empty() ? std::to_string(experiment) : std::string(name));
        w.member("experimentId", experiment).member("share", part_of(bytes, coverage->total.total));
        w.member("bytes", bytes).end();
    }
    w.end().key("untagged").array();
    for (const auto& [reason, bytes] : coverage->reasons) {
        w.object().member("reason", reason).member("share", part_of(bytes, coverage->total.total));
        w.member("bytes", bytes).end();
    }
    w.end().key("talkers").array();
    for (const Talker& one : *talkers) {
        w.object().member("service", one.service).member("protocol", one.protocol);
        w.key("port");
        one.port == 0 ? w.value(nullptr) : w.value(one.port);
        w.member("network", one.network).member("reason", one.reason).member("bytes", one.bytes).end();
    }
    w.end().end();
    return {};
}

}  // namespace flowd::marker
