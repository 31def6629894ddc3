// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <thread>

#include "sdk/check/life.hpp"

namespace flowd::check {

namespace {

namespace fs = std::filesystem;

/// What open descriptors stand for, by number.
std::set<std::string> descriptors() {
    std::set<std::string> open;
    std::error_code error;
    for (fs::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) {
        std::error_code gone;
        const fs::path target = fs::read_symlink(it->path(), gone);
        // The iteration's own descriptor is gone when its turn to be read comes.
        if (!gone && target.native().find("/fd") == std::string::npos)
            open.insert(it->path().filename().string() + " (" + target.string() + ")");
    }
    return open;
}

std::size_t threads() {
    std::size_t count = 0;
    std::error_code error;
    for (fs::directory_iterator it("/proc/self/task", error), end; !error && it != end; it.increment(error)) ++count;
    return count;
}

Outcome skipped_for(const Life& life) {
    return Outcome::skip(life.down());
}

Outcome whole_life(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return skipped_for(life);
        life.live({});
        life.destroy();
        return Outcome::pass();
    });
}

Outcome create_only(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (const flowd_result result = life.create(); result != FLOWD_OK)
            return Outcome::fail(fmt::format("create returned {}: it does not touch the system, so it should not fail",
                                             result_name(result)));
        (void)life.stop();
        life.destroy();
        return Outcome::pass();
    });
}

Outcome prepare_only(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (life.create() != FLOWD_OK) return Outcome::skip("create failed");
        (void)life.prepare();
        (void)life.stop();
        life.destroy();
        return Outcome::pass();
    });
}

Outcome stop_twice(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        const bool up = life.up();
        if (life.raw() == nullptr) return skipped_for(life);
        if (up) life.live({});
        (void)life.stop();
        (void)life.stop();
        life.destroy();
        return up ? Outcome::pass() : skipped_for(life);
    });
}

Outcome stop_for_any_reason(Subject& subject) {
    constexpr std::uint32_t reasons[] = {FLOWD_STOP_DAEMON_ENDS, FLOWD_STOP_REPLACED, FLOWD_STOP_REMOVED, FLOWD_STOP_FAILED,
                                         77};  // of a later minor
    for (const std::uint32_t reason : reasons) {
        Outcome outcome = with_life(subject, [&](Life& life, ProbeHost&) {
            life.stop_for(reason);
            if (!life.up()) return skipped_for(life);
            life.live({}, std::chrono::milliseconds(1));
            life.stop_for(FLOWD_STOP_DAEMON_ENDS);
            (void)life.stop();
            life.destroy();
            return Outcome::pass();
        });
        if (outcome.verdict != Outcome::Verdict::passed) return outcome;
    }
    return Outcome::pass();
}

Outcome stop_late(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return skipped_for(life);
        (void)life.stop(-std::chrono::seconds(1));
        life.destroy();
        return Outcome::pass();
    });
}

Outcome failures_explained(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (life.up()) {
            life.live({});
            life.destroy();
            return Outcome::pass();
        }
        if (life.unexplained()) return Outcome::fail(life.down() + " without reporting an error");
        return Outcome::pass();
    });
}

Outcome second_life(Subject& subject) {
    if (Outcome first = whole_life(subject); first.verdict != Outcome::Verdict::passed) return first;
    return whole_life(subject);
}

Outcome two_instances(Subject& subject) {
    auto config = subject.config();
    if (!config) return without_config(config.error());
    return with_life(subject, [&](Life& life, ProbeHost&) {
        ProbeHost other_host((*config)->kind);
        Life other(*(*config)->component, (*config)->value(), other_host, subject.progress());
        if (life.create() != FLOWD_OK || other.create() != FLOWD_OK) return Outcome::fail("the second create failed");
        (void)life.stop();
        life.destroy();
        (void)other.stop();
        other.destroy();
        return Outcome::pass();
    });
}

// The first life may open what the process keeps (a resolver, a log); a second one has no excuse.
Outcome descriptors_returned(Subject& subject) {
    Outcome first = whole_life(subject);
    const std::set<std::string> before = descriptors();
    (void)whole_life(subject);
    for (const std::string& open : descriptors())
        if (before.count(open) == 0) return Outcome::fail(fmt::format("after destroy, descriptor {} is still open", open));
    return first;
}

Outcome threads_returned(Subject& subject) {
    if (auto config = subject.config(); !config) return without_config(config.error());
    Outcome first = whole_life(subject);
    const std::size_t before = threads();
    (void)whole_life(subject);
    // A thread that was joined may be listed for a moment longer.
    for (int attempt = 0; attempt < 100 && threads() > before; ++attempt)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (threads() > before) return Outcome::fail("after destroy, a thread of the instance still runs");
    return first;
}

Outcome reconfigured(Subject& subject) {
    auto config = subject.config();
    if (!config) return without_config(config.error());
    return with_life(subject, [&](Life& life, ProbeHost&) {
        if (!life.up()) return skipped_for(life);
        flowd_result result = FLOWD_OK;
        life.live({[&] { result = life.reconfigure((*config)->value()); }});
        life.destroy();
        if (result == FLOWD_OK || result == FLOWD_UNSUPPORTED) return Outcome::pass();
        return Outcome::fail(fmt::format("reconfigure with the options in force returned {}", result_name(result)));
    });
}

}  // namespace

std::vector<Check> life_checks() {
    return {
        {"create", "create accepts valid options and uses no system resources; stop and destroy follow it", every_kind,
         create_only},
        {"stop-before-start", "stop and destroy are safe after prepare alone", every_kind, prepare_only},
        {"life", "create, prepare, start, a while of its loop, stop in time, destroy; all calls keep to their threads",
         every_kind, whole_life},
        {"stop-twice", "a second stop is harmless", every_kind, stop_twice},
        {"stop-reasons", "stop takes every reason, unknown ones too, and another one the second time", every_kind,
         stop_for_any_reason},
        {"stop-late", "stop with a deadline in the past returns at once", every_kind, stop_late},
        {"failures-explained", "create, prepare and start report what is wrong before they fail", every_kind,
         failures_explained},
        {"second-life", "a new instance works after the first was destroyed", every_kind, second_life},
        {"two-instances", "two instances can exist at the same time", every_kind, two_instances},
        {"descriptors-returned", "destroy leaves no descriptor open", every_kind, descriptors_returned},
        {"threads-returned", "destroy leaves no thread running", every_kind, threads_returned},
        {"reconfigure", "reconfigure with the options in force is accepted or unsupported", every_kind, reconfigured},
    };
}

}  // namespace flowd::check
