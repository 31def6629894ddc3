// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/hosted_watch.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "bpf/socket_tag.h"
#include "flowd/abi/ext/shared.h"
#include "lib/watch/cgroup.hpp"

namespace flowd::watch {

Result<SocketWatch> HostedWatch::make(UniqueFd socket_tags) {
    WatchConfig config;
    config.cgroup = cgroup_;
    config.program_path = program_path_;
    config.socket_tags = std::move(socket_tags);
    config.log = [&host = host_](flowd_level level, std::string_view line) { host.log(level, line); };
    if (watch_) config.predecessor = &*watch_;
    return SocketWatch::load(config, visitor_);
}

Result<void> HostedWatch::load(const std::string& cgroup, const std::string& program_path) {
    auto found = find_cgroup(cgroup);
    if (!found) return std::move(found).error();
    cgroup_ = *std::move(found);
    program_path_ = program_path;
    auto offered = host_.shared().obtain(FLOWD_SHARED_SOCKET_TAGS);
    auto watch = make(offered ? std::move(offered->fd) : UniqueFd());
    if (!watch) return std::move(watch).error();
    watch_ = *std::move(watch);
    if (offered) marker_ = offered->generation;
    return announce();
}

/// Markers look for this when they start, and are notified when it is offered later.
Result<void> HostedWatch::announce() const {
    const UniqueFd sign(::eventfd(0, EFD_CLOEXEC));
    if (!sign) return Error::from_errno(errno, "creating an eventfd");
    return host_.shared().offer(FLOWD_SHARED_SOCKET_TAGGERS, sign.get());
}

Result<void> HostedWatch::fill(SocketWatch& watch) const {
    if (auto done = watch.set_tags(tags_, random_); !done) return done;
    return watch.set_rules(rules_);
}

/// Attaches it and reads it from now on.
Result<void> HostedWatch::take_up(SocketWatch watch) {
    if (auto done = fill(watch); !done) return done;
    if (auto done = watch.attach(); !done) return done;
    auto readable = host_.watch(watch.fd(), FLOWD_IO_READ, [this](std::uint32_t) { consume(); });
    if (!readable) return std::move(readable).error();
    readable_.reset();
    if (watch_ && started_) watch_->consume();
    watch_ = std::move(watch);
    readable_ = *std::move(readable);
    if (paused_) (void)readable_.conditions(0);
    return {};
}

Result<void> HostedWatch::start() {
    SocketWatch watch = *std::move(watch_);
    watch_.reset();
    auto done = take_up(std::move(watch));
    started_ = done.ok();
    if (!done) return done;
    auto offers = host_.shared().on_change(FLOWD_SHARED_SOCKET_TAGS, [this] { renew(); });
    if (!offers) return std::move(offers).error();
    offers_ = *std::move(offers);
    return {};
}

void HostedWatch::stop() {
    offers_.reset();
    retry_.reset();
    readable_.reset();
    watch_.reset();
    host_.shared().withdraw(FLOWD_SHARED_SOCKET_TAGGERS);
}

void HostedWatch::renew() {
    if (!started_) return;
    auto offered = host_.shared().obtain(FLOWD_SHARED_SOCKET_TAGS);
    if (offered.has_value() == marker_.has_value() && (!offered || offered->generation == *marker_)) return;
    const std::optional<std::uint64_t> generation = offered ? std::optional(offered->generation) : std::nullopt;
    auto watch = make(offered ? std::move(offered->fd) : UniqueFd());
    auto done = watch ? take_up(*std::move(watch)) : Result<void>(std::move(watch).error());
    if (!done) {
        // Retried once a second: logged once.
        if (std::exchange(last_error_, done.error().message) != last_error_)
            host_.warning("the marker's map of socket tags could not be used: " + last_error_);
        if (auto again = host_.after(std::chrono::seconds(1), [this] { renew(); })) retry_ = *std::move(again);
        return;
    }
    last_error_.clear();
    marker_ = generation;
    host_.info(marker_ ? "sockets are tagged for the marker from their first packet"
                       : "no marker reads the tags of sockets");
}

void HostedWatch::consume() {
    if (watch_ && !paused_) watch_->consume();
}

void HostedWatch::pause(bool paused) {
    paused_ = paused;
    (void)readable_.conditions(paused ? 0 : FLOWD_IO_READ);
}

Result<void> HostedWatch::set_rules(std::vector<watch_rule> rules) {
    const bool same = rules.size() == rules_.size() &&
                      (rules.empty() || std::memcmp(rules.data(), rules_.data(), rules.size() * sizeof(watch_rule)) == 0);
    if (same) return {};
    rules_ = std::move(rules);
    return watch_ && started_ ? watch_->set_rules(rules_) : Result<void>();
}

Result<void> HostedWatch::set_tags(std::vector<flowd_tag> tags, bool random) {
    tags_ = std::move(tags);
    random_ = random;
    return watch_ && started_ ? watch_->set_tags(tags_, random_) : Result<void>();
}

std::uint64_t HostedWatch::lost() {
    const std::uint64_t now = watch_ ? watch_->count(WATCH_COUNT_NO_ROOM) : 0;
    const std::uint64_t before = std::exchange(lost_, now);
    return now > before ? now - before : 0;
}

void HostedWatch::status(json::Writer& object) const {
    object.member("controlGroup", cgroup_);
    object.member("marksFirstPacket", watch_.has_value() && marker_.has_value());
    if (!watch_) return;
    object.member("rules", rules_.size());
    object.member("opened", watch_->count(WATCH_COUNT_OPENED));
    object.member("closed", watch_->count(WATCH_COUNT_CLOSED));
    object.member("tagged", watch_->count(WATCH_COUNT_TAGGED));
    object.member("noRoom", watch_->count(WATCH_COUNT_NO_ROOM));
    object.member("noMemory", watch_->count(WATCH_COUNT_NO_MEMORY));
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::watch
