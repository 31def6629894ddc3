// SPDX-License-Identifier: Apache-2.0
#include "flowd/module.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

#include "flowd/testing.hpp"

namespace flowd {
namespace {

using testing::Config;
using testing::FakeHost;
using ::testing::HasSubstr;
using testing::Instance;
using testing::run_tool;

/// Fails, or throws, in the step that its option names.
struct BrittleOptions {
    std::string fail;
    std::string raise;
    std::uint32_t limit = 0;
    static const Table<BrittleOptions>& table() {
        static const Table<BrittleOptions> table{
            option("fail", &BrittleOptions::fail).doc("Step that fails."),
            option("raise", &BrittleOptions::raise).doc("Step that throws."),
            option("limit", &BrittleOptions::limit).default_value(3).doc("A limit."),
        };
        return table;
    }
};

struct GreetOptions {
    std::string to;
    std::uint32_t often = 0;
    static const Table<GreetOptions>& table() {
        static const Table<GreetOptions> table{
            option("to", &GreetOptions::to).doc("Whom."),
            option("often", &GreetOptions::often).default_value(1).doc("How often."),
        };
        return table;
    }
};

/// Knows what the command line, the configuration and the registry say.
Result<void> greet(GreetOptions options, ToolCall& call) {
    if (options.to == "throw") throw std::runtime_error("tools are brittle");
    if (options.to.empty()) return Error{FLOWD_NOT_FOUND, "there is nobody", "name one"};
    const auto config = call.config<BrittleOptions>();
    if (!config) return std::move(config).error();
    for (std::uint32_t i = 0; i < options.often; ++i) {
        std::string text;
        json::Writer(text).value(options.to + " " + (*config ? std::to_string((*config)->limit) : "unconfigured"));
        if (!call.print(text)) break;
    }
    return {};
}

class Brittle final : public Plugin {
  public:
    using Options = BrittleOptions;
    static constexpr Info info{.name = "brittle", .summary = "Fails as told.", .aliases = {"frail", "weak"}};

    Brittle(Host& host, Options options) : Plugin(host), options_(std::move(options)) { throw_in("create"); }
    ~Brittle() override { host().info("gone"); }
    static void validate(const Options& options, Problems& problems) {
        if (options.raise == "validate") throw std::runtime_error("validate is brittle");
        if (options.limit > 9) problems.error("limit", "more than nine", "take nine");
    }
    Result<void> prepare() override { return step("prepare"); }
    Result<void> start() override { return step("start"); }
    Result<void> stop(Deadline deadline) override {
        host().info(deadline.passed() ? "stopped late" : "stopped in time");
        return step("stop");
    }
    Result<void> reconfigure(Options options) {
        if (options.fail == "unsupported") return Error{FLOWD_UNSUPPORTED, "not while live"};
        options_ = std::move(options);
        return step("reconfigure");
    }
    void on_room() override { throw_in("on_room"); }
    void status(json::Writer& object) const override {
        throw_in("status");
        object.member("limit", options_.limit);
    }
    static std::vector<Command<Brittle>> commands() {
        return {{"limit", "NUMBER", "Sets the limit.", true, &Brittle::set_limit},
                {"show", nullptr, "Shows it.", false, &Brittle::show}};
    }
    static std::vector<Tool> tools() { return {tool<&greet>("greet", "Greets somebody.")}; }

  private:
    void throw_in(std::string_view where) const {
        if (options_.raise == where) throw std::runtime_error(std::string(where) + " is brittle");
        if (options_.raise == "odd " + std::string(where)) throw 42;
    }
    Result<void> step(std::string_view where) const {
        throw_in(where);
        if (options_.fail == where) return Error{FLOWD_BUSY, std::string(where) + " is busy", "wait"};
        return {};
    }
    Result<void> set_limit(const std::vector<std::string_view>& arguments, json::Writer& answer) {
        if (arguments.size() != 1) return Error{FLOWD_INVALID, "one number is needed", "limit 4"};
        if (arguments[0] == "throw") throw std::runtime_error("commands are brittle");
        options_.limit = static_cast<std::uint32_t>(arguments[0].size());
        answer.value(options_.limit);
        return {};
    }
    Result<void> show(const std::vector<std::string_view>&, json::Writer& answer) {
        answer.value(options_.limit);
        return {};
    }

    Options options_;
};

struct NoOptions {
    static const Table<NoOptions>& table() {
        static const Table<NoOptions> table{};
        return table;
    }
};

class Sink final : public Backend {
  public:
    using Options = NoOptions;
    static constexpr Info info{
        .name = "sink", .summary = "Counts.", .loop = FLOWD_LOOP_OWN, .accepts = 1u << FLOWD_EVENT_END};
    Sink(Host& host, Options) : Backend(host) {}
    Taken on_events(const Events& events) override {
        for (const EventView event : events) {
            if (event.is_ongoing()) throw std::runtime_error("no ongoing please");
            host().info("tag " + std::to_string(event->tag.experiment));
        }
        return Taken::all();
    }
};

class Sampler final : public Enricher {
  public:
    using Options = NoOptions;
    static constexpr Info info{.name = "sampler", .summary = "Samples."};
    using Enricher::Enricher;
    Sampler(Host& host, Options) : Enricher(host) {}
    void sample(const FlowBatch& flows, bool last, Samples& samples) override {
        EXPECT_TRUE(last);
        for (const flowd_flow& flow : flows) {
            if (flow.flow_id == 13) throw std::runtime_error("unlucky");
            const std::string congestion = "bbr";  // copied by add
            flowd_sample sample{};
            sample.flow_id = flow.flow_id;
            sample.congestion = to_c(congestion);
            samples.add(sample);
        }
    }
};

Config raise(const char* where) {
    return Config(component<Brittle>()).set("raise", where);
}
Config fail(const char* where) {
    return Config(component<Brittle>()).set("fail", where);
}

TEST(ModuleDescription, HasTheMembersOfTheClasses) {
    const flowd_module* module = detail::module<Brittle, Sink, Sampler>("plugin-brittle", "1.2", "Apache-2.0");
    ASSERT_EQ(module->component_count, 3u);
    EXPECT_EQ(module->abi_major, static_cast<std::uint32_t>(FLOWD_ABI_MAJOR));
    const flowd_component& brittle = testing::component_of(*module, "brittle");
    EXPECT_EQ(brittle.kind, static_cast<std::uint32_t>(FLOWD_PLUGIN));
    EXPECT_STREQ(brittle.aliases[1], "weak");
    EXPECT_EQ(brittle.aliases[2], nullptr);
    EXPECT_EQ(brittle.precedence, static_cast<std::uint32_t>(FLOWD_PRECEDENCE_EXPLICIT));
    EXPECT_EQ(brittle.run, nullptr);
    EXPECT_NE(brittle.validate, nullptr);
    EXPECT_EQ(brittle.on_events, nullptr);
    const flowd_component& sink = testing::component_of(*module, "sink");
    EXPECT_NE(sink.run, nullptr);
    EXPECT_EQ(sink.accepts, 1u << FLOWD_EVENT_END);
    EXPECT_EQ(sink.validate, nullptr);
    EXPECT_EQ(sink.reconfigure, nullptr);
    EXPECT_EQ(sink.aliases, nullptr);
    EXPECT_NE(testing::component_of(*module, "sampler").sample, nullptr);
    EXPECT_THROW((void)testing::component_of(*module, "x"), std::invalid_argument);
}

class ExceptionBarrierTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ExceptionBarrierTest, AnExceptionBecomesAResultAndALogLineWithTheInstancesName) {
    const std::string step = GetParam();
    FakeHost host("brittle/one");
    {
        Instance instance(host, component<Brittle>(), raise(GetParam()));
        flowd_result result = instance.create();
        if (result == FLOWD_OK) result = instance.prepare();
        if (result == FLOWD_OK) result = instance.start();
        if (result == FLOWD_OK) result = instance.stop();
        EXPECT_EQ(result, FLOWD_EXCEPTION);
    }
    EXPECT_TRUE(host.logged("brittle/one: " + step + " threw: " + step + " is brittle"));
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].result, FLOWD_EXCEPTION);
    EXPECT_EQ(host.problems()[0].message, step + " threw: " + step + " is brittle");
}
INSTANTIATE_TEST_SUITE_P(Steps, ExceptionBarrierTest, ::testing::Values("create", "prepare", "start", "stop"));

TEST(ExceptionBarrier, ValuesOtherThanExceptionsAreCaught) {
    FakeHost host;
    Instance instance(host, component<Brittle>(), raise("odd start"));
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.start(), FLOWD_EXCEPTION);
    EXPECT_TRUE(host.logged("an exception that is not a std::exception"));
}

TEST(ExceptionBarrier, CoversCallsOutsideOfTheLifecycle) {
    FakeHost host;
    Instance instance(host, component<Brittle>(), raise("on_room"));
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    instance.on_room();
    EXPECT_TRUE(host.logged("on_room threw: on_room is brittle"));
    EXPECT_EQ(instance.command({"limit", "throw"}).result, FLOWD_EXCEPTION);
    EXPECT_TRUE(host.logged("commands are brittle"));

    FakeHost quiet;
    Instance silent(quiet, component<Brittle>(), raise("status"));
    ASSERT_EQ(silent.bring_up(), FLOWD_OK);
    EXPECT_EQ(silent.status(), "");
    EXPECT_TRUE(quiet.logged("status is brittle"));

    FakeHost sink_host;
    Instance sink(sink_host, component<Sink>());
    ASSERT_EQ(sink.create(), FLOWD_OK);
    EXPECT_EQ(sink.deliver(Event::ongoing({}, {1, 1})), FLOWD_EXCEPTION);
    EXPECT_EQ(sink.deliver(Event::end({}, {5, 1})), FLOWD_OK);
    EXPECT_TRUE(sink_host.logged("tag 5"));
}

TEST(Validate, AnExceptionIsReportedAsAProblem) {
    FakeHost host;
    Instance instance(host, component<Brittle>(), raise("validate"));
    EXPECT_EQ(instance.validate(), FLOWD_EXCEPTION);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].message, "validate threw: validate is brittle");
}

/// A backend that answers a batch as its option says, and asks the core for names when it is validated.
class Partial final : public Backend {
  public:
    struct Options {
        std::string answer;
        std::string experiment;
        static const Table<Options>& table() {
            static const Table<Options> table{
                option("answer", &Options::answer).doc("What it says of a batch."),
                option("experiment", &Options::experiment).doc("A name of the registry."),
            };
            return table;
        }
    };
    static constexpr Info info{
        .name = "partial", .summary = "Takes what it is told to take.", .flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS};
    Partial(Host& host, Options options) : Backend(host), options_(std::move(options)) {}

    static void validate(const Options& options, Problems& problems, const Offline& core) {
        core.log(FLOWD_LEVEL_INFO, "looking for " + options.experiment);
        if (options.experiment.empty() || core.registry().experiment_id(options.experiment)) return;
        problems.error("experiment", "is not in the registry");
    }
    Taken on_events(const Events& events) override {
        if (options_.answer == "full") return Taken::full(events.size() / 2);
        if (options_.answer == "invalid") return Taken::invalid(1);
        if (options_.answer == "failed") return Taken::failed(1, FLOWD_BUSY);
        if (options_.answer == "throw") throw std::runtime_error("no room at all");
        return Taken::all();
    }
    Result<void> stop(Deadline deadline) override {
        host().info("stopped for " + std::to_string(deadline.reason()));
        return {};
    }

  private:
    Options options_;
};

struct Answered {
    const char* answer;
    flowd_result result;
    std::size_t taken;
};

class TakenTest : public ::testing::TestWithParam<Answered> {};

TEST_P(TakenTest, TheResultOfABatchReachesTheCore) {
    FakeHost host;
    Instance instance(host, component<Partial>(), Config(component<Partial>()).set("answer", GetParam().answer));
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    const std::vector<flowd_event> events(4, Event::start({}, {1, 1}).raw());
    EXPECT_EQ(instance.deliver(events), GetParam().result);
    EXPECT_EQ(instance.taken(), GetParam().taken);
}

INSTANTIATE_TEST_SUITE_P(Answers, TakenTest,
                         ::testing::Values(Answered{"all", FLOWD_OK, 4}, Answered{"full", FLOWD_FULL, 2},
                                           Answered{"invalid", FLOWD_INVALID, 1}, Answered{"failed", FLOWD_BUSY, 1},
                                           Answered{"throw", FLOWD_EXCEPTION, 0}),
                         [](const auto& one) { return std::string(one.param.answer); });

TEST(Stop, HasAReason) {
    FakeHost host;
    Instance instance(host, component<Partial>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    EXPECT_EQ(instance.stop(std::chrono::seconds(1), FLOWD_STOP_REPLACED), FLOWD_OK);
    EXPECT_TRUE(host.logged("stopped for " + std::to_string(FLOWD_STOP_REPLACED)));
}

TEST(ModuleDescription, HasTheFlagsOfItsInfo) {
    EXPECT_EQ(component<Partial>().flags, std::uint32_t(FLOWD_COMPONENT_RECONFIGURE_ALWAYS));
    EXPECT_EQ(component<Brittle>().flags, 0u);
}

TEST(Validate, MayLogAndAskTheRegistry) {
    FakeHost host;
    host.add_experiment(2, "atlas");
    EXPECT_EQ(Instance(host, component<Partial>(), Config(component<Partial>()).set("experiment", "atlas")).validate(),
              FLOWD_OK);
    EXPECT_TRUE(host.logged("looking for atlas"));
    EXPECT_EQ(Instance(host, component<Partial>(), Config(component<Partial>()).set("experiment", "nobody")).validate(),
              FLOWD_INVALID);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].option, "experiment");
}

TEST(Validate, AnErrorNamesItsOptionAndDeterminesTheResult) {
    FakeHost host;
    Instance instance(host, component<Brittle>(), Config(component<Brittle>()).set("limit", "10"));
    EXPECT_EQ(instance.validate(), FLOWD_INVALID);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].option, "limit");
    EXPECT_EQ(host.problems()[0].hint, "take nine");
}

TEST(Lifecycle, AFailureIsReportedWithItsHintAndDeterminesTheResult) {
    for (const char* step : {"prepare", "start"}) {
        FakeHost host;
        Instance instance(host, component<Brittle>(), fail(step));
        EXPECT_EQ(instance.bring_up(), FLOWD_BUSY);
        ASSERT_EQ(host.problems().size(), 1u);
        EXPECT_EQ(host.problems()[0].message, std::string(step) + " is busy");
        EXPECT_EQ(host.problems()[0].hint, "wait");
    }
}

TEST(Lifecycle, StopIsPassedOnOnceAndWorksWithoutStart) {
    FakeHost host;
    Instance instance(host, component<Brittle>());
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    instance.destroy();
    const auto lines = host.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].text, "stopped in time");
    EXPECT_EQ(lines[1].text, "gone");
}

TEST(Lifecycle, StopReceivesADeadlineThatHasPassed) {
    FakeHost host;
    Instance instance(host, component<Brittle>());
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(std::chrono::seconds(-1)), FLOWD_OK);
    EXPECT_TRUE(host.logged("stopped late"));
}

TEST(Reconfigure, AppliesNewOptionsOrReturnsUnsupportedWithoutAProblem) {
    FakeHost host;
    Instance instance(host, component<Brittle>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    EXPECT_EQ(instance.reconfigure(Config(component<Brittle>()).set("limit", "5")), FLOWD_OK);
    EXPECT_EQ(instance.status(), "{\"limit\":5}");
    EXPECT_EQ(instance.reconfigure(fail("unsupported")), FLOWD_UNSUPPORTED);
    EXPECT_TRUE(host.problems().empty());
    EXPECT_EQ(instance.reconfigure(fail("reconfigure")), FLOWD_BUSY);
    EXPECT_EQ(host.problems().size(), 1u);
}

TEST(Commands, AreDeclaredRunAndExplained) {
    FakeHost host;
    Instance instance(host, component<Brittle>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    const auto* offered =
        static_cast<const flowd_ext_command*>(component<Brittle>().extension(instance.raw(), FLOWD_EXT_COMMAND));
    ASSERT_NE(offered, nullptr);
    ASSERT_EQ(offered->command_count, 2u);
    EXPECT_STREQ(offered->commands[0].arguments, "NUMBER");
    EXPECT_EQ(offered->commands[0].flags, static_cast<std::uint32_t>(FLOWD_COMMAND_CHANGES));
    EXPECT_EQ(offered->commands[1].flags, 0u);

    EXPECT_EQ(instance.command({"limit", "1234"}).json, "4");
    EXPECT_EQ(instance.command({"show"}).json, "4");
    const auto wrong = instance.command({"limit"});
    EXPECT_EQ(wrong.result, FLOWD_INVALID);
    EXPECT_EQ(wrong.json, "\"one number is needed; limit 4\"");
    const auto unknown = instance.command({"jump"});
    EXPECT_EQ(unknown.result, FLOWD_NOT_FOUND);
    EXPECT_THAT(unknown.json, HasSubstr("jump"));
    EXPECT_EQ(component<Brittle>().extension(instance.raw(), "org.example.x/1"), nullptr);
}

TEST(Tools, AreDeclaredWithTheirOptionsAndRunWithoutAnInstance) {
    const auto* offered = static_cast<const flowd_ext_tool*>(component<Brittle>().offline(FLOWD_EXT_TOOL));
    ASSERT_NE(offered, nullptr);
    ASSERT_EQ(offered->tool_count, 1u);
    EXPECT_STREQ(offered->tools[0].name, "greet");
    EXPECT_EQ(offered->tools[0].option_count, 2u);
    EXPECT_EQ(component<Brittle>().offline("org.example.x/1"), nullptr);
    EXPECT_EQ(component<Sink>().offline, nullptr) << "it has none";

    FakeHost host;
    EXPECT_EQ(run_tool(host, component<Brittle>(), "greet", {{"to", "you"}, {"often", "2"}}).printed,
              (std::vector<std::string>{"\"you unconfigured\"", "\"you unconfigured\""}));
    Config config(component<Brittle>());
    config.set("limit", "7");
    EXPECT_EQ(run_tool(host, component<Brittle>(), "greet", {{"to", "you"}}, &config).printed,
              (std::vector<std::string>{"\"you 7\""}));
}

TEST(Tools, FailWithTheirReasonAndDoNotThrow) {
    FakeHost host;
    EXPECT_EQ(run_tool(host, component<Brittle>(), "greet", {}).result, FLOWD_NOT_FOUND);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_EQ(host.problems()[0].message, "there is nobody");
    EXPECT_EQ(run_tool(host, component<Brittle>(), "greet", {{"to", "throw"}}).result, FLOWD_EXCEPTION);
    EXPECT_THAT(host.problems().back().message, HasSubstr("tools are brittle"));
    EXPECT_EQ(run_tool(host, component<Brittle>(), "bow", {}).result, FLOWD_NOT_FOUND) << "there is no such tool";
}

TEST(Enrichers, SampleAllLiveFlows) {
    FakeHost host;
    Instance instance(host, component<Sampler>());
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    flowd_flow flows[3] = {};
    for (std::uint64_t i = 0; i < 3; ++i) {
        flows[i].size = sizeof(flowd_flow);
        flows[i].flow_id = i + 12;
    }
    const auto samples = instance.sample(std::span(flows, 1));
    ASSERT_EQ(samples.size(), 1u);
    EXPECT_EQ(samples[0].sample.flow_id, 12u);
    EXPECT_EQ(samples[0].sample.size, sizeof(flowd_sample));
    EXPECT_EQ(samples[0].congestion, "bbr");
    (void)instance.sample(flows);
    EXPECT_EQ(instance.last_sample_result(), FLOWD_EXCEPTION);
}

TEST(Create, ACoreThatLacksAServiceIsRefusedByName) {
    FakeHost host;
    host.mutable_raw().rewatch = nullptr;
    Instance instance(host, component<Brittle>());
    EXPECT_EQ(instance.create(), FLOWD_UNSUPPORTED);
    ASSERT_EQ(host.problems().size(), 1u);
    EXPECT_THAT(host.problems()[0].message, HasSubstr("flowd_host.rewatch"));
}

TEST(Create, ACoreWithoutLogIsRefusedWithoutACrash) {
    FakeHost host;
    host.mutable_raw().log = nullptr;
    host.mutable_raw().report = nullptr;
    Instance instance(host, component<Brittle>(), raise("create"));
    EXPECT_EQ(instance.create(), FLOWD_UNSUPPORTED);
    EXPECT_EQ(instance.raw(), nullptr);
}

}  // namespace
}  // namespace flowd
