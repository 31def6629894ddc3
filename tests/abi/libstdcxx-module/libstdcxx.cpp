// SPDX-License-Identifier: Apache-2.0
// The plugin libstdcxx gives a catch-all tag from its start to its stop; its options need both kinds of names.
#include "flowd/module.hpp"

#ifndef __GLIBCXX__
#error "this module is about libstdc++"
#endif

namespace {

struct TagOptions {
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    static const flowd::Table<TagOptions>& table() {
        static const flowd::Table<TagOptions> table{
            flowd::option("experimentId", &TagOptions::experiment).experiment().required().doc("Of the traffic."),
            flowd::option("activityId", &TagOptions::activity).activity().required().doc("Of the traffic."),
        };
        return table;
    }
};

class Tag final : public flowd::Plugin {
  public:
    using Options = TagOptions;
    static constexpr flowd::Info info{.name = "libstdcxx", .summary = "Gives a catch-all tag; libstdc++."};

    Tag(flowd::Host& host, Options options) : Plugin(host), options_(options) {}

    flowd::Result<void> start() override {
        is_started_ = true;
        const auto emitted = host().emit(flowd::Event::catch_all({options_.experiment, options_.activity}));
        if (emitted.result < 0) return flowd::Error{emitted.result, "the core refused the catch-all tag"};
        return {};
    }
    flowd::Result<void> stop(flowd::Deadline) override {
        if (is_started_) (void)host().emit(flowd::Event::catch_all_clear());
        return {};
    }
    flowd::Result<void> reconfigure(Options options) {
        options_ = options;
        return is_started_ ? start() : flowd::Result<void>();
    }

  private:
    Options options_;
    bool is_started_ = false;
};

}  // namespace

FLOWD_MODULE(Tag);
