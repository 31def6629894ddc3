// SPDX-License-Identifier: Apache-2.0
// What instances find amiss, and what they say of single flows, as the control socket asks them.
#include <filesystem>
#include <future>

#include "core/base/text.hpp"
#include "core/control/client.hpp"
#include "core/control/server.hpp"
#include "core/service/control_commands.hpp"
#include "core/service/explain.hpp"
#include "core/service/status_json.hpp"
#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

flowd_finding hidden_hook(const char* id = "marker-hook-hidden", flowd_level severity = FLOWD_LEVEL_WARNING) {
    return {sizeof(flowd_finding),     severity,          id, to_c("eth0"), to_c("another program answers before ours"),
            to_c("ours is the first"), to_c("remove it"), 0};
}

struct FindingsTest : Rig {
    FindingsTest() {
        std::string name = (std::filesystem::temp_directory_path() / "flowd-findings-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~FindingsTest() override { std::filesystem::remove_all(folder_); }

    OwnFindings own_{{[] { return BusCounters(); }, [] { return std::vector<SourceFile>(); },
                      [] { return std::vector<std::filesystem::path>(); }, [] { return true; },
                      [] { return std::int64_t{1}; }, [] { return std::vector<UnregisteredTags::Count>(); }}};

    /// Through a control socket, as a user does.
    control::Reply ask(const control::Arguments& words) {
        ControlCommands commands({supervisor(), services_, [] { return DaemonStatus(); }, [](const control::Responder&) {},
                                  [this](std::chrono::milliseconds delay, const std::function<void()>& callback) {
                                      (void)loop_->post([this, delay, callback] {
                                          if (delay.count() <= 0) return callback();
                                          (void)loop_->timer(delay, {}, callback);
                                      });
                                  },
                                  [](const std::function<void()>& job) { job(); }, own_});
        control::ServerOptions options;
        options.path = folder_ + "/control";
        auto server = control::Server::listen(options, [&](const auto& arguments, const auto& peer, auto respond) {
            commands.handle(arguments, peer, std::move(respond));
        });
        EXPECT_TRUE(server);
        const auto watch = loop_->watch((*server)->fd(), FLOWD_IO_READ, [&](int, std::uint32_t) { (*server)->dispatch(); });
        auto answer = std::async(std::launch::async, [&] { return control::request(options.path, words); });
        while (answer.wait_for(0s) != std::future_status::ready) loop_->wait(10ms);
        loop_->unwatch(*watch);
        const auto reply = answer.get();
        return reply ? *reply : control::Reply{ExitCode::failure, reply.error().message};
    }
    static void offer_findings(const char* key, decltype(flowd_ext_findings::instance) call) {
        static std::map<std::string, flowd_ext_findings> tables;
        tables[key] = {sizeof(flowd_ext_findings), 0, call, nullptr};
        Scripts::of(key).extension = [table = &tables[key]](std::string_view id) -> const void* {
            return id == FLOWD_EXT_FINDINGS ? table : nullptr;
        };
    }

    std::string folder_;
};

TEST_F(FindingsTest, AreCollectedFromAllInstancesAndShownInStatusAndMetrics) {
    offer_findings("marker", [](flowd_instance*, const flowd_findings* sink) -> flowd_result {
        const flowd_finding one = hidden_hook();
        return sink->add(sink, &one);
    });
    offer_findings("healthy", [](flowd_instance*, const flowd_findings*) -> flowd_result { return FLOWD_OK; });
    ASSERT_EQ(start(config(FLOWD_BACKEND, "marker"), config(FLOWD_PLUGIN, "healthy"), config(FLOWD_PLUGIN, "silent")),
              ExitCode::ok);
    const auto reply = ask({"findings"});
    EXPECT_EQ(reply.code, ExitCode::ok);
    EXPECT_EQ(reply.json,
              R"([{"severity":"warning","id":"marker-hook-hidden","instance":"backend marker","subject":"eth0",)"
              R"("found":"another program answers before ours","expected":"ours is the first","remedy":"remove it",)"
              R"("since":")" +
                  utc_text(findings_.all().at("backend marker").at(0).since_ns) + R"("}])");
    EXPECT_NE(findings_.all().at("backend marker").at(0).since_ns, 0);
    const auto samples = findings_.metrics();
    ASSERT_EQ(samples.size(), 1U);
    EXPECT_EQ(samples[0].name, "findings");
    EXPECT_EQ(samples[0].value, 1);
    EXPECT_EQ(samples[0].labels,
              (MetricLabels{{"flowd_instance", "backend marker"}, {"id", "marker-hook-hidden"}, {"severity", "warning"}}));
    EXPECT_THAT(status_json({}, supervisor(), services_, {}), HasSubstr(R"("findings":[{"severity":"warning")"));
    supervisor().stop();
}

TEST_F(FindingsTest, AFailedInstanceIsAnErrorOrAWarningIfItIsNotRequired) {
    static Gate started;
    for (const char* key : {"required", "optional"})
        Scripts::of(key).run = [](const flowd_host*) -> flowd_result {
            started.pass();
            return FLOWD_BUSY;
        };
    InstanceConfig optional = config(FLOWD_PLUGIN, "optional", 0, FLOWD_LOOP_OWN);
    optional.required = false;
    ASSERT_EQ(
        start(config(FLOWD_PLUGIN, "required", 0, FLOWD_LOOP_OWN), std::move(optional), config(FLOWD_BACKEND, "good")),
        ExitCode::ok);
    EXPECT_EQ(ask({"findings"}).json, "[]");
    started.open();
    for (const auto& instance : supervisor().instances())
        if (instance->kind() == FLOWD_PLUGIN) {
            ASSERT_TRUE(reaches(*instance, InstanceState::failed));
        }
    for (const auto& [name, severity] : {std::pair("required", "error"), {"optional", "warning"}})
        EXPECT_THAT(ask({"findings"}).json,
                    HasSubstr(R"({"severity":")" + std::string(severity) +
                              R"(","id":"daemon-instance-failed","instance":"plugin )" + name + R"(")"));
    EXPECT_THAT(ask({"status", "plugin:optional"}).json, HasSubstr(R"("findings":[{"severity":"warning")"));
    EXPECT_THAT(ask({"status", "good"}).json, HasSubstr(R"("findings":[])"));
    supervisor().stop();
}

TEST_F(FindingsTest, StatusIsACommandOfInstancesThatDoNotDefineTheirOwn) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "a"), config(FLOWD_BACKEND, "a"), config(FLOWD_BACKEND, "b")), ExitCode::ok);
    const auto full = ask({"status", "b"});
    EXPECT_EQ(full.code, ExitCode::ok);
    EXPECT_THAT(full.json, HasSubstr(R"("instance":"backend b","state":"running")"));
    EXPECT_THAT(full.json, HasSubstr(R"("queue":{"backend":"b")"));
    EXPECT_EQ(ask({"b", "status"}).json.substr(0, 40), full.json.substr(0, 40));
    EXPECT_THAT(ask({"status", "plugin:a"}).json, HasSubstr(R"("announcer":{"plugin":"a")"));
    EXPECT_EQ(ask({"status", "a"}).code, ExitCode::usage);
    EXPECT_THAT(ask({"status", "a"}).json, HasSubstr("write plugin:a or backend:a"));
    EXPECT_EQ(ask({"status", "nobody"}).code, ExitCode::usage);
    supervisor().stop();
}

TEST_F(FindingsTest, AHangingInstanceBlocksNothingAndKeepsItsLastFindings) {
    static Gate gate;
    offer_findings("stuck", [](flowd_instance*, const flowd_findings*) -> flowd_result {
        gate.pass();
        return FLOWD_OK;
    });
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "stuck")), ExitCode::ok);
    findings_.set("plugin stuck", {{FLOWD_LEVEL_ERROR, "before", {}, {}, {}, {}, 0}});
    EXPECT_THAT(ask({"findings"}).json, HasSubstr(R"("id":"before")"));
    gate.open();
    supervisor().stop();
}

TEST(FindingsBoardTest, AFindingHasTheTimeWhenItWasFirstSeen) {
    FindingsBoard board;
    const auto since = [&](std::size_t index) { return board.all().at("x").at(index).since_ns; };
    const Finding hidden{FLOWD_LEVEL_WARNING, "hidden", "eth0", {}, {}, {}, 0};
    board.set("x", {hidden});
    const std::int64_t first = since(0);
    EXPECT_NE(first, 0);
    const Finding other{FLOWD_LEVEL_WARNING, "hidden", "eth1", {}, {}, {}, 0};
    const Finding told{FLOWD_LEVEL_WARNING, "told", "", {}, {}, {}, 45};
    board.set("x", {other, told, hidden});
    EXPECT_GE(since(0), first);
    EXPECT_EQ(since(1), 45) << "the module knows better";
    EXPECT_EQ(since(2), first);
    board.set("x", {});
    board.set("x", {hidden});
    EXPECT_GT(since(0), first) << "it was gone meanwhile";
}

TEST(FindingSinkTest, MalformedFindingsAreRefusedAndAtMost256AreKept) {
    FindingSink sink;
    const flowd_findings* to = sink.abi();
    EXPECT_EQ(to->add(to, nullptr), FLOWD_INVALID);
    for (const char* id : {static_cast<const char*>(nullptr), "", "Upper", "a b", "-a", "1a", "a_b"}) {
        const flowd_finding one = hidden_hook(id);
        EXPECT_EQ(to->add(to, &one), FLOWD_INVALID) << (id == nullptr ? "null" : id);
    }
    const flowd_finding low = hidden_hook("id", FLOWD_LEVEL_DEBUG);
    EXPECT_EQ(to->add(to, &low), FLOWD_INVALID);
    flowd_finding no_remedy = hidden_hook(), nothing_found = hidden_hook();
    no_remedy.remedy = {};
    nothing_found.found = {};
    EXPECT_EQ(to->add(to, &no_remedy), FLOWD_INVALID);
    EXPECT_EQ(to->add(to, &nothing_found), FLOWD_INVALID);
    const flowd_finding later = hidden_hook("id", 45);
    EXPECT_EQ(to->add(to, &later), FLOWD_OK) << "a severity of a later minor";
    EXPECT_EQ(severity_name(sink.received()[0].severity), "warning") << "is the next lower one";
    for (std::size_t i = 1; i < FindingSink::most; ++i) EXPECT_EQ(to->add(to, &later), FLOWD_OK);
    EXPECT_EQ(to->add(to, &later), FLOWD_LIMIT);
    EXPECT_EQ(sink.received().size(), FindingSink::most);
}

struct ExplainTest : FindingsTest {};

TEST_F(ExplainTest, CombinesTheCoresStateAndTheInstancesExplanations) {
    static const flowd_ext_explain table{sizeof(flowd_ext_explain), 0,
                                         [](flowd_instance*, const flowd_flow* flows, std::size_t count, std::size_t,
                                            const flowd_explanations* sink) -> flowd_result {
                                             EXPECT_EQ(count, 1U);
                                             const flowd_explanation one{sizeof one,
                                                                         0,
                                                                         flows[0].flow_id != 0 ? "marked" : "not-announced",
                                                                         to_c("eth0"),
                                                                         to_c("Its packets carry the label 0x1234."),
                                                                         0,
                                                                         0,
                                                                         0,
                                                                         {}};
                                             return sink->add(sink, &one);
                                         }};
    Scripts::of("marker").extension = [](std::string_view id) -> const void* {
        return id == FLOWD_EXT_EXPLAIN ? &table : nullptr;
    };
    ASSERT_EQ(start(config(FLOWD_BACKEND, "marker"), config(FLOWD_PLUGIN, "source")), ExitCode::ok);
    const flowd_host* host = Scripts::of("source").host;
    const flowd_event one = event(FLOWD_EVENT_START, 1);
    ASSERT_EQ(host->emit(host, &one, 1, sizeof one, nullptr, nullptr), FLOWD_OK);

    const auto known = ask({"explain", "tcp", destination_of(one.key).to_string(), source_of(one.key).to_string()});
    EXPECT_EQ(known.code, ExitCode::ok);
    EXPECT_THAT(known.json, HasSubstr(R"("known":true,"flow":{"source":")" + source_of(one.key).to_string()))
        << "turned round";
    EXPECT_THAT(known.json, HasSubstr(R"("reversed":true)"));
    EXPECT_THAT(known.json, HasSubstr(R"("verdict":"tag-alone")"));
    EXPECT_THAT(known.json, HasSubstr(R"("announcer":"source")"));
    EXPECT_THAT(known.json, HasSubstr(R"({"instance":"backend marker","verdict":"marked","subject":"eth0",)"
                                      R"("text":"Its packets carry the label 0x1234.","time":"","refusal":false})"));

    const auto unknown = ask({"explain", "udp", "192.0.2.1:1", "192.0.2.2:2"});
    EXPECT_THAT(unknown.json, HasSubstr(R"("known":false)"));
    EXPECT_THAT(unknown.json, HasSubstr("not-announced"));
    supervisor().stop();
}

Registry small_registry() {
    return *Registry::parse(R"({"version":1,"modified":"x","experiments":[
        {"expName":"atlas","expId":2,"activities":[{"activityName":"perfSONAR","activityId":2}]},
        {"expName":"cms","expId":3,"activities":[{"activityName":"perfSONAR","activityId":2},
                                                 {"activityName":"Analysis Input","activityId":14}]}]})");
}

TEST(ExplainQuestion, WhatIdentifiesNoFlowAndNoTagIsRefused) {
    const Registry registry = small_registry();
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{},
                                               {""},
                                               {" "},
                                               {"tcp", "192.0.2.1:1"},
                                               {"xtp", "192.0.2.1:1", "192.0.2.2:2"},
                                               {"tcp", "192.0.2.1:1", "host:2"},
                                               {"tcp", "192.0.2.1:65536", "192.0.2.2:2"},
                                               {"tcp", "[fe80::1%nosuchinterface]:1", "[fe80::2]:2"},
                                               {"0x"},
                                               {"0x100000"},
                                               {"1048576"},
                                               {"99999999999999999999"},
                                               {"nobody"},
                                               {"cms/nothing"},
                                               {"/"},
                                               {"3/"},
                                               {std::string("cms\0", 4)},
                                               {std::string(60000, '/')}})
        EXPECT_EQ(read_question(words, registry).error().code, FLOWD_INVALID) << ::testing::PrintToString(words);
}

TEST(ExplainQuestion, AFlowIsAProtocolAndTwoEndsInOneWordOrThree) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"17", "2001:db8::1", "[2001:db8::2]:5"}, {" 17 2001:db8::1  [2001:db8::2]:5"}}) {
        const auto question = read_question(words, {});
        ASSERT_TRUE(question && question->flow);
        EXPECT_EQ(question->flow->protocol, 17);
        EXPECT_EQ(question->flow->source_port, 0);
        EXPECT_EQ(question->flow->destination_port, 5);
    }
    const std::vector<std::string> mapped{"tcp [::ffff:192.0.2.1]:1 192.0.2.2:2"};
    EXPECT_EQ(source_of(*read_question(mapped, {})->flow).to_string(), "192.0.2.1:1");
    const std::vector<std::string> zone{"tcp [fe80::1%lo]:1 [fe80::2]:2"};
    EXPECT_EQ(read_question(zone, {})->flow->zone, 1u) << "the zone of one end holds for both";
}

TEST(ExplainQuestion, ATagIsALabelAScitagOrNames) {
    const Registry registry = small_registry();
    using Id = std::optional<std::uint32_t>;
    const auto none = std::nullopt;
    const std::vector<std::tuple<std::vector<std::string>, Id, Id, Id>> cases{{{"0x30038"}, 3, 14, 0x30038},
                                                                              {{"0xF013B"}, 3, 14, 0xf013b},
                                                                              {{"196664"}, 3, 14, 196664},
                                                                              {{"206"}, 3, 14, none},
                                                                              {{"3/14"}, 3, 14, none},
                                                                              {{"cms/Analysis Input"}, 3, 14, none},
                                                                              {{"CMS", "analysis", "input"}, 3, 14, none},
                                                                              {{"cms", "14"}, 3, 14, none},
                                                                              {{"cms"}, 3, none, none},
                                                                              {{"perfSONAR"}, none, 2, none},
                                                                              {{"0"}, 0, 0, none}};
    for (const auto& [words, experiment, activity, label] : cases) {
        const auto question = read_question(words, registry);
        ASSERT_TRUE(question) << ::testing::PrintToString(words);
        EXPECT_FALSE(question->flow);
        EXPECT_EQ(question->tag.experiment, experiment) << ::testing::PrintToString(words);
        EXPECT_EQ(question->tag.activity, activity) << ::testing::PrintToString(words);
        EXPECT_EQ(question->tag.label, label) << ::testing::PrintToString(words);
    }
}

TEST(ExplanationSinkTest, MalformedExplanationsAreRefusedAndAtMost64AreKept) {
    ExplanationSink sink;
    const flowd_explanations* to = sink.abi();
    flowd_explanation one{sizeof one, 1, "marked", {}, {}, 0, 0, 0, {}};
    EXPECT_EQ(to->add(to, &one), FLOWD_INVALID) << "no such flow in the batch";
    one.flow = 0;
    one.verdict = "Marked";
    EXPECT_EQ(to->add(to, &one), FLOWD_INVALID);
    one.verdict = "marked";
    EXPECT_EQ(to->add(to, &one), FLOWD_INVALID) << "it says nothing";
    one.text = to_c("Its packets are marked.");
    for (std::size_t i = 0; i < ExplanationSink::most; ++i) EXPECT_EQ(to->add(to, &one), FLOWD_OK);
    EXPECT_EQ(to->add(to, &one), FLOWD_LIMIT);
}

}  // namespace
}  // namespace flowd::core::test
