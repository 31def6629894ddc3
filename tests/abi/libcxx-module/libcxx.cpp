// SPDX-License-Identifier: Apache-2.0
// The plugin libcxx emits pairs of start and end from a timer, the backend libcxx counts what it gets and keeps the
// attachments' bytes. With option `raise` each throws where it can: libc++'s exceptions must stay on this side of the
// border.
#include <algorithm>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "flowd/module.hpp"

#ifndef _LIBCPP_VERSION
#error "this module is about libc++"
#endif

namespace {

using flowd::Event;
using flowd::Result;

struct SourceOptions {
    std::uint32_t pairs = 0;
    std::uint32_t batch = 0;
    bool raise = false;
    static const flowd::Table<SourceOptions>& table() {
        static const flowd::Table<SourceOptions> table{
            flowd::option("pairs", &SourceOptions::pairs).default_value(100).doc("How many flows start and end."),
            flowd::option("batch", &SourceOptions::batch).range(1, 4096).default_value(64).doc("How many at a time."),
            flowd::option("raise", &SourceOptions::raise).default_value(false).doc("Throw an exception in start."),
        };
        return table;
    }
};

class Source final : public flowd::Plugin {
  public:
    using Options = SourceOptions;
    static constexpr flowd::Info info{.name = "libcxx", .summary = "Emits pairs of start and end; libc++."};

    Source(flowd::Host& host, Options options) : Plugin(host), options_(options) {}

    Result<void> start() override {
        if (options_.raise) throw std::runtime_error("an exception of libc++");
        auto timer = host().every(std::chrono::milliseconds(1), [this] { go_on(); });
        if (!timer) return std::move(timer).error();
        timer_ = std::move(timer).value();
        return {};
    }
    Result<void> stop(flowd::Deadline) override {
        timer_.reset();
        host().info("emitted " + std::to_string(next_) + " of " + std::to_string(options_.pairs) + " pairs");
        return {};
    }
    void on_room() override { go_on(); }

  private:
    void go_on() {
        std::vector<Event> events;
        const std::uint32_t end = std::min(options_.pairs, next_ + options_.batch);
        for (std::uint32_t n = next_; n < end; ++n) {
            events.push_back(Event::start(key(n), {2, 7}));
            events.back().application("libcxx").attach("example.org/number/1", std::to_string(n));
            events.push_back(Event::end(key(n), {2, 7}));
        }
        const std::span<const Event> rest = std::span<const Event>(events).subspan(half_ && !events.empty() ? 1 : 0);
        const flowd::Emitted emitted = host().emit(rest);
        const std::size_t done = emitted.accepted + (half_ ? 1 : 0);
        next_ += static_cast<std::uint32_t>(done / 2);
        half_ = done % 2 != 0;
        if (next_ >= options_.pairs) timer_.reset();
    }
    static flowd_key key(std::uint32_t n) {
        flowd::Address::Bytes source = flowd::Address::parse("2001:db8:1::1")->bytes();
        source[8] = static_cast<std::uint8_t>(n >> 24);
        source[9] = static_cast<std::uint8_t>(n >> 16);
        return flowd::make_key({flowd::Address(source), static_cast<std::uint16_t>(1 + (n & 0x7fff))},
                               {*flowd::Address::parse("2001:db8:1::2"), 443}, 6);
    }

    Options options_;
    flowd::Timer timer_;
    std::uint32_t next_ = 0;
    bool half_ = false;  ///< the start of pair `next_` was taken, its end was not
};

struct SinkOptions {
    bool raise = false;
    static const flowd::Table<SinkOptions>& table() {
        static const flowd::Table<SinkOptions> table{
            flowd::option("raise", &SinkOptions::raise).default_value(false).doc("Throw an exception at every event."),
        };
        return table;
    }
};

class Sink final : public flowd::Backend {
  public:
    using Options = SinkOptions;
    static constexpr flowd::Info info{.name = "libcxx", .summary = "Counts what it gets; libc++."};

    Sink(flowd::Host& host, Options options) : Backend(host), options_(options) {}

    flowd::Taken on_events(const flowd::Events& events) override {
        if (options_.raise) throw std::runtime_error("an exception of libc++");
        for (const flowd::EventView event : events) {
            if (event.is_start()) ++starts_;
            if (event.is_end()) ++ends_;
            if (event.has(FLOWD_NO_START)) ++disorder_;
            const auto number = event.attachment("example.org/number/1");
            if (!number.empty()) last_ = std::string(number);
        }
        return flowd::Taken::all();
    }
    Result<void> stop(flowd::Deadline) override {
        host().info("saw " + std::to_string(starts_) + " starts, " + std::to_string(ends_) + " ends, " +
                    std::to_string(disorder_) + " out of order");
        return {};
    }
    void status(flowd::json::Writer& object) const override {
        object.member("starts", starts_).member("ends", ends_).member("outOfOrder", disorder_).member("last", last_);
    }

  private:
    Options options_;
    std::uint64_t starts_ = 0;
    std::uint64_t ends_ = 0;
    std::uint64_t disorder_ = 0;
    std::string last_;
};

}  // namespace

FLOWD_MODULE(Source, Sink);
