// SPDX-License-Identifier: Apache-2.0
// A plugin with tools: what the command line, the configuration and the registry say comes out again.
#include <poll.h>

#define FLOWD_MODULE_NAME "plugin-greet"
#define FLOWD_MODULE_VERSION "1.0"
#define FLOWD_MODULE_LICENSE "Apache-2.0"
#include "flowd/abi/note.h"
#include "flowd/module.hpp"

FLOWD_MODULE_NOTE("abi=1.0\nname=plugin-greet\nversion=1.0\nplugin=greet\n");

namespace {

struct GreetOptions {
    std::vector<std::string> to;
    std::string experiment;
    std::uint32_t often = 1;
    bool loud = false;

    static const flowd::Table<GreetOptions>& table() {
        static const flowd::Table<GreetOptions> table{
            flowd::option("to", &GreetOptions::to).required().doc("Whom to greet."),
            flowd::option("experiment", &GreetOptions::experiment).doc("Name to look up in the registry."),
            flowd::option("often", &GreetOptions::often).default_value(1).range(1, 9).doc("How often."),
            flowd::option("loud", &GreetOptions::loud).doc("In capitals."),
        };
        return table;
    }
};

struct NoOptions {
    static const flowd::Table<NoOptions>& table() {
        static const flowd::Table<NoOptions> table{};
        return table;
    }
};

struct PluginOptions {
    std::string word;
    static const flowd::Table<PluginOptions>& table() {
        static const flowd::Table<PluginOptions> table{
            flowd::option("word", &PluginOptions::word).default_value("hello").doc("What to say."),
        };
        return table;
    }
};

flowd::Result<void> greet(GreetOptions options, flowd::ToolCall& call) {
    const auto config = call.config<PluginOptions>();
    if (!config) return flowd::Error(config.error());
    const auto experiment = call.host().registry().experiment_id(options.experiment);
    for (std::uint32_t i = 0; i < options.often; ++i)
        for (const std::string& name : options.to) {
            std::string text;
            flowd::json::Writer writer(text);
            writer.object().member("word", *config ? (*config)->word : "").member("to", name).member("loud", options.loud);
            if (experiment) writer.member("experiment", *experiment);
            writer.end();
            if (!call.print(text)) return {};
        }
    return {};
}

flowd::Result<void> wait_for_the_end(NoOptions, flowd::ToolCall& call) {
    call.print(R"({"state":"waiting"})");
    pollfd end{call.interrupt_fd(), POLLIN, 0};
    if (::poll(&end, 1, 20'000) != 1) return flowd::Error{FLOWD_ERROR, "nobody interrupted it"};
    call.print(R"({"state":"interrupted"})");
    return {};
}

/// Sees the first interrupt and goes on all the same.
flowd::Result<void> sulk(NoOptions, flowd::ToolCall& call) {
    call.print(R"({"state":"sulking"})");
    pollfd end{call.interrupt_fd(), POLLIN, 0};
    if (::poll(&end, 1, 20'000) == 1) call.print(R"({"state":"interrupted"})");
    (void)::poll(nullptr, 0, 20'000);
    return {};
}

flowd::Result<void> fail(NoOptions, flowd::ToolCall&) {
    return flowd::Error{FLOWD_DENIED, "this is not for you", "ask somebody else"};
}

class Greet final : public flowd::Plugin {
  public:
    using Options = PluginOptions;
    static constexpr flowd::Info info{.name = "greet", .summary = "Has tools."};
    Greet(flowd::Host& host, Options) : Plugin(host) {}
    static std::vector<flowd::Tool> tools() {
        return {flowd::tool<&greet>("greet", "Greets somebody."), flowd::tool<&wait_for_the_end>("wait", "Waits."),
                flowd::tool<&sulk>("sulk", "Does not end by itself."), flowd::tool<&fail>("fail", "Fails.")};
    }
};

}  // namespace

FLOWD_MODULE(Greet);
