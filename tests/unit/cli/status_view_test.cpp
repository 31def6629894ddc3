// SPDX-License-Identifier: Apache-2.0
// The screens of `status` at 80 columns, as they are, and what `status --check` makes of the same answers.
#include "core/cli/status_view.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

namespace flowd::core::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string status(const std::string& instances, const std::string& findings, const std::string& reload = "") {
    return R"({"daemon":{"version":"1.0.0","state":"running","pid":25025,"since":"2026-11-29T12:03:07.123Z",)"
           R"("uptimeSeconds":7384.5,"configuration":"/etc/flowd-cpp/conf.yaml",)" +
           (reload.empty() ? R"("lastReload":"","lastReloadError":"")" : reload) + R"(},"instances":[)" + instances +
           R"(],"flows":{"live":12},"announcers":[],"queues":[],"findings":[)" + findings + R"(],"details":{}})";
}

std::string instance(const std::string& name, const std::string& summary, const std::string& state = "running",
                     const std::string& more = R"("lastError":"")") {
    return R"({"instance":")" + name + R"(","state":")" + state + R"(","since":"2026-11-29T12:03:08.000Z","summary":")" +
           summary + R"(",)" + more + "}";
}

std::string finding(const std::string& severity, const std::string& id, const std::string& instance,
                    const std::string& subject, const std::string& found, const std::string& remedy) {
    return R"({"severity":")" + severity + R"(","id":")" + id + R"(","instance":")" + instance + R"(","subject":")" +
           subject + R"(","found":")" + found + R"(","expected":"","remedy":")" + remedy +
           R"(","since":"2026-11-29T12:04:00.000Z"})";
}

const std::string healthy_instances =
    instance("plugin perfsonar", "meters 7 flows on eth0, eth1") + "," +
    instance("plugin fireflyp", "listens on 127.0.0.1:10514 and [::1]:10514") + "," +
    instance("backend marker", "marks on eth0, eth1") + "," +
    instance("backend firefly/regional", "sends to 2 of 2 collectors and to destinations");

const std::string unresolved =
    finding("warning", "firefly-collector-unresolved", "backend firefly", "collector.example.org:10514",
            "Temporary failure in name resolution", "check the name and this host's resolver: getent ahosts NAME");
const std::string failed_optional = finding("warning", "daemon-instance-failed", "backend metrics", "backend metrics",
                                            "127.0.0.1:9107 is in use by another process",
                                            "correct the cause, then start it again: systemctl reload flowd-cpp");
const std::string hook_removed = finding("error", "marker-hook-removed", "backend marker", "eth0",
                                         "the program was removed", "see what removes it: tc filter show dev eth0 egress");

void expect_to_fit(const std::string& screen) {
    EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 24) << screen;
    std::istringstream lines(screen);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
}

TEST(StatusScreen, ShowsAHealthyHost) {
    const std::string screen = status_screen(status(healthy_instances, ""));
    EXPECT_EQ(screen,
              "flowd-cpp 1.0.0: running since 2026-11-29 12:03 UTC (2h 3m 5s), pid 25025\n"
              "configuration: /etc/flowd-cpp/conf.yaml\n"
              "12 live flows\n"
              "\n"
              "plugin perfsonar          meters 7 flows on eth0, eth1\n"
              "plugin fireflyp           listens on 127.0.0.1:10514 and [::1]:10514\n"
              "backend marker            marks on eth0, eth1\n"
              "backend firefly/regional  sends to 2 of 2 collectors and to destinations\n"
              "\n"
              "no findings\n");
    expect_to_fit(screen);
}

TEST(StatusScreen, ShowsFindingsWithRemediesAndAFailedInstance) {
    const std::string screen = status_screen(status(
        instance("backend marker", "marks on eth0") + "," +
            instance("backend metrics", "", "failed", R"("lastError":"127.0.0.1:9107 is in use by another process")"),
        unresolved + "," + failed_optional + "," + hook_removed,
        R"("lastReload":"2026-11-29T13:00:00.000Z","lastReloadError":"")"));
    EXPECT_EQ(screen,
              "flowd-cpp 1.0.0: running since 2026-11-29 12:03 UTC (2h 3m 5s), pid 25025\n"
              "configuration: /etc/flowd-cpp/conf.yaml, reloaded 2026-11-29 13:00 UTC\n"
              "12 live flows\n"
              "\n"
              "backend marker   marks on eth0\n"
              "backend metrics  failed since 2026-11-29 12:03 UTC: 127.0.0.1:9107 is in use ...\n"
              "\n"
              "findings:\n"
              "  error: backend marker: marker-hook-removed\n"
              "    since 2026-11-29 12:04 UTC: eth0: the program was removed\n"
              "    remedy: see what removes it: tc filter show dev eth0 egress\n"
              "  warning: backend firefly: firefly-collector-unresolved\n"
              "    since 2026-11-29 12:04 UTC: collector.example.org:10514: Temporary failure\n"
              "    in name resolution\n"
              "    remedy: check the name and this host's resolver: getent ahosts NAME\n"
              "  warning: backend metrics: daemon-instance-failed\n"
              "    since 2026-11-29 12:04 UTC: 127.0.0.1:9107 is in use by another process\n"
              "    remedy: correct the cause, then start it again: systemctl reload flowd-cpp\n");
    expect_to_fit(screen);
}

TEST(StatusScreen, SevenInstancesAndManyFindingsFit) {
    std::string instances, findings;
    for (int i = 0; i < 7; ++i) {
        instances += (i == 0 ? "" : ",") + instance("plugin number" + std::to_string(i), std::string(60, 'x'));
        findings +=
            (i == 0 ? "" : ",") + finding("note", "some-note", "plugin number" + std::to_string(i), "", "found", "do");
    }
    const std::string screen = status_screen(status(instances, findings));
    EXPECT_THAT(screen, HasSubstr("and 4 more: flowd-cpp findings\n"));
    expect_to_fit(screen);
}

TEST(StatusScreen, ShowsAFailedReloadAndAHangingInstance) {
    const std::string screen = status_screen(
        status(instance("plugin slow", "", "running", R"("stuckIn":"on_events","stuckSeconds":72.4,"lastError":"")") + "," +
                   instance("plugin weak", "reads 1 of 2 pipes", "running", R"("health":"degraded","lastError":"")") + "," +
                   R"({"instance":"plugin third","state":"running","since":"2026-11-29T12:03:08.000Z","lastError":""})",
               "", R"("lastReload":"2026-11-29T13:00:00.000Z","lastReloadError":"conf.yaml:3:1: error: unknown key")"));
    EXPECT_THAT(screen, HasSubstr("configuration: /etc/flowd-cpp/conf.yaml, reload failed 2026-11-29 13:00 UTC\n"));
    EXPECT_THAT(screen, HasSubstr("plugin slow   does not return from on_events for 1m 12s\n"));
    EXPECT_THAT(screen, HasSubstr("plugin weak   degraded: reads 1 of 2 pipes\n"));
    EXPECT_THAT(screen, HasSubstr("plugin third  running\n")) << "its module says nothing of itself";
}

TEST(StatusScreen, ShowsTheReasonOfAnImpliedInstance) {
    EXPECT_THAT(status_screen(status(instance("backend firefly/receivers", "sends to 1 of 1 collectors", "running",
                                              R"("impliedBy":"plugins.fireflyp.fireflyReceivers","lastError":"")"),
                                     "")),
                HasSubstr("backend firefly/receivers  sends to 1 of 1 collectors\n"
                          "                           implied by plugins.fireflyp.fireflyReceivers\n"));
}

TEST(StatusScreen, EscapesTerminalCommandsInTexts) {
    const std::string screen = status_screen(
        status(instance("plugin a", "\\u001b[2J"), finding("error", "x", "plugin a", "\\u001b[2J", "a\\nb", "c\\nd")));
    EXPECT_THAT(screen, Not(HasSubstr("\x1b")));
    EXPECT_THAT(screen, HasSubstr("\\x1b[2J: a b\n"));
}

TEST(InstanceScreen, OmitsZerosAndShowsEachCounterOnce) {
    EXPECT_EQ(instance_screen(R"({"instance":"backend marker","state":"running","summary":"marks on eth0","errors":0,)"
                              R"("queue":{"delivered":3,"refused":0,"behind":false},"findings":[],)"
                              R"("status":{"summary":"marks on eth0","packets":9,"outcomes":{"markedFlow":9,"noTag":0},)"
                              R"("skipped":{"failed":0},"interfaces":[{"interface":"eth0","repairs":0,"packets":9}]},)"
                              R"("counters":{"marker_packets_total{outcome=markedFlow}":9}})",
                              false),
              "instance:  backend marker\n"
              "state:     running\n"
              "summary:   marks on eth0\n"
              "\n"
              "queue:\n"
              "  delivered:  3\n"
              "\n"
              "status:\n"
              "  packets:  9\n"
              "  outcomes:\n"
              "    marked flow:  9\n"
              "  interfaces:\n"
              "    interface  packets\n"
              "    eth0             9\n");
}

TEST(InstanceScreen, AModuleWithoutAStatusHasItsCounters) {
    EXPECT_EQ(instance_screen(R"({"instance":"plugin x","errors":0,"counters":{"x_total":7,"y_total":0}})", false),
              "instance:  plugin x\n"
              "\n"
              "counters:\n"
              "  x total:  7\n");
}

TEST(StatusCheck, AHealthyHostIsOkOnOneLineWithPerformanceData) {
    const Verdict verdict = judge_status(status(healthy_instances, ""));
    EXPECT_EQ(verdict.level, Verdict::Level::ok);
    EXPECT_EQ(verdict.text, "FLOWD-CPP OK: 4 instances, 12 live flows | flows=12 findings=0\n");
}

TEST(StatusCheck, ANoteIsOk) {
    EXPECT_EQ(judge_status(status(healthy_instances, finding("note", "n", "plugin a", "", "f", "r"))).level,
              Verdict::Level::ok);
}

TEST(StatusCheck, TheWorstFindingDeterminesTheStateAndIsOnTheFirstLine) {
    const Verdict warning = judge_status(status(healthy_instances, unresolved));
    EXPECT_EQ(warning.level, Verdict::Level::warning);
    EXPECT_EQ(warning.text,
              "FLOWD-CPP WARNING: backend firefly: firefly-collector-unresolved: collector.example.org:10514: Temporary "
              "failure in name resolution | flows=12 findings=1\n");
    const Verdict error = judge_status(status(healthy_instances, unresolved + "," + failed_optional + "," + hook_removed));
    EXPECT_EQ(error.level, Verdict::Level::critical);
    EXPECT_THAT(error.text,
                testing::StartsWith("FLOWD-CPP CRITICAL: backend marker: marker-hook-removed: eth0: the program "
                                    "was removed (and 2 more) | flows=12 findings=3\n"));
    EXPECT_EQ(std::count(error.text.begin(), error.text.end(), '\n'), 4) << "each on a line of its own";
}

TEST(StatusCheck, TheStateThatAnInstanceReportsCounts) {
    const auto with = [](const std::string& health) {
        return judge_status(status(instance("plugin a", "reads", "running", R"("health":")" + health + "\""), ""));
    };
    EXPECT_EQ(with("ok").level, Verdict::Level::ok);
    EXPECT_EQ(with("degraded").level, Verdict::Level::warning);
    EXPECT_EQ(with("failed").level, Verdict::Level::critical);
    EXPECT_THAT(with("failed").text, HasSubstr("plugin a is failed: reads"));
}

TEST(StatusCheck, TextCannotForgePerformanceDataOrLines) {
    const Verdict verdict = judge_status(status("", finding("error", "x", "plugin a", "", "a | b\\nc", "r")));
    EXPECT_EQ(verdict.text, "FLOWD-CPP CRITICAL: plugin a: x: a / b c | flows=12 findings=1\n");
}

TEST(StatusCheck, NoDaemonOrNoStatusIsCritical) {
    EXPECT_EQ(no_status("no daemon answers at /run/x").text, "FLOWD-CPP CRITICAL: no daemon answers at /run/x\n");
    EXPECT_EQ(no_status("").level, Verdict::Level::critical);
    EXPECT_EQ(judge_status("[]").level, Verdict::Level::critical);
    EXPECT_EQ(judge_status("no json").level, Verdict::Level::critical);
}

}  // namespace
}  // namespace flowd::core::cli
