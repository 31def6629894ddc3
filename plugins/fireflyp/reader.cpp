// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/reader.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace flowd::fireflyp {
namespace {

/// Sockets that share a port with other instances are distinguished by their instance.
[[nodiscard]] std::string resource_of(const Host& host, const Endpoint& endpoint, bool reuse_port) {
    const std::string resource = "udp:" + endpoint.to_string();
    return reuse_port ? std::string(host.instance()) + "/" + resource : resource;
}

}  // namespace

Reader::Reader(Host& host, const FireflypOptions& options, Common& common, std::uint32_t index)
    : host_(host),
      options_(options),
      common_(common),
      index_(index),
      receive_(batch, options.buffer_size),
      parser_(options.buffer_size),
      rate_(options.rate_per_source),
      outbox_(
          host,
          [this](bool has_room) {
              for (Inlet& inlet : inlets_) inlet.read_on(has_room);
          },
          {},
          has_thread() ? Outbox::Later([this](std::chrono::milliseconds delay) {
              drain_at_ = Clock::now() + delay;
              return true;
          })
                       : Outbox::Later()) {}

Result<void> Reader::open(const Endpoint& endpoint) {
    Inlet& inlet =
        inlets_.emplace_back(host_, endpoint, resource_of(host_, endpoint, options_.reuse_port), index_, options_.readers);
    auto prepared = inlet.prepare({static_cast<int>(options_.receive_buffer), options_.reuse_port || index_ > 0});
    if (!prepared) inlets_.pop_back();
    return prepared;
}

void Reader::drop_last_inlet() {
    (void)inlets_.back().hand_over();
    inlets_.pop_back();
}

void Reader::catch_up() {
    const auto lock = turn();
    for (Inlet& inlet : inlets_)
        for (std::size_t most = inlet.queued(); most > 0 && !outbox_.full();) {  // senders may continue
            const std::size_t count = read_batch(inlet);
            most = count == 0 ? 0 : most - std::min(most, count);
        }
    common_.relay.flush();
}

Result<void> Reader::start() {
    if (!has_thread()) {
        for (Inlet& inlet : inlets_) {
            auto watched = inlet.watch([this, &inlet] {
                const auto lock = turn();
                read(inlet);
            });
            if (!watched) return watched;
        }
        return {};
    }
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return Error::from_errno(errno, "eventfd");
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        return Error::from_errno(error.code().value(), "starting a thread that receives fireflies");
    }
    (void)::pthread_setname_np(thread_.native_handle(), ("fireflyp/" + std::to_string(index_)).c_str());
    return {};
}

void Reader::run() {
    std::vector<pollfd> wanted{{wake_.get(), POLLIN, 0}};
    for (const Inlet& inlet : inlets_) wanted.push_back({inlet.fd(), POLLIN, 0});
    while (!ends_) {
        // A full outbox reads nothing: only the first descriptor is waited for.
        if (::poll(wanted.data(), outbox_.full() ? 1 : wanted.size(), patience()) < 0) continue;
        if (wanted[0].revents != 0) {
            std::uint64_t ignored = 0;
            (void)!::read(wake_.get(), &ignored, sizeof ignored);
        }
        const auto lock = turn();
        const bool is_due = drain_at_ && *drain_at_ <= Clock::now();
        if (is_due) drain_at_.reset();
        detail::guarded(host_.raw(), "a receiver", [&] {
            if (has_room_.exchange(false) || is_due) outbox_.drain();
            std::size_t next = 1;
            for (Inlet& inlet : inlets_)
                if (wanted[next++].revents != 0 && !ends_) read(inlet);
        });
    }
}

std::unique_lock<std::mutex> Reader::turn() const {
    const std::lock_guard next(next_);
    return std::unique_lock(mutex_);
}

int Reader::patience() const {
    if (!drain_at_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*drain_at_ - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

void Reader::wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
}

void Reader::halt() {
    for (Inlet& inlet : inlets_) inlet.stop();
    if (!thread_.joinable()) return;
    ends_ = true;
    wake();
    thread_.join();
}

void Reader::on_room() {
    if (thread_.joinable()) {
        has_room_ = true;
        wake();
        return;
    }
    const auto lock = turn();
    outbox_.drain();
}

void Reader::settle() {
    const auto lock = turn();
    streams_.settle();
}

void Reader::read(Inlet& inlet) {
    for (int i = 0; i < batches_per_turn && !outbox_.full(); ++i)  // an error condition is reported even while paused
        if (read_batch(inlet) < batch) break;
    common_.relay.flush();
}

std::size_t Reader::read_batch(Inlet& inlet) {
    auto received = receive_.receive(inlet.fd());
    if (!received) {
        last_error_ = received.error().message;
        return 0;
    }
    inlet.count(received->size(), receive_.drops());
    batch_.clear();
    const auto now = Clock::now();
    for (const net::Datagram& datagram : *received) take(datagram, inlet.port(), now);
    for (const flowd_event& event : batch_.events()) outbox_.add(event);
    outbox_.flush();
    return received->size();
}

void Reader::take(const net::Datagram& datagram, std::uint16_t port, Clock::time_point now) {
    const Address& peer = datagram.peer.address;
    const auto refuse = [&](std::string_view reason) {
        host_.refused(reason, datagram.peer.to_string(), datagram.payload);
    };
    for (const auto reason : {TurnedAway::not_allowed, TurnedAway::rate}) {
        if (reason == TurnedAway::not_allowed ? common_.allowed.includes(peer) : rate_.admits(peer, now)) continue;
        refuse(turned_away_names[static_cast<std::size_t>(reason)]);
        return turn_away(reason);
    }
    firefly::Firefly firefly;
    const auto refusal = datagram.truncated ? firefly::Refusal::truncated : parser_.parse(datagram.payload, firefly);
    if (refusal != firefly::Refusal::none) {
        ++refused_[static_cast<std::size_t>(refusal)];
        return refuse(firefly::name_of(refusal));
    }
    if (circulates(firefly, peer, now)) return;
    const firefly::Path path = firefly.member ? firefly.member->path : firefly::Path{common_.boot, 0};
    passed_.clear();
    common_.relay.pass(datagram, firefly, port, now, passed_);
    batch_.add(firefly, datagram, {path, peer, port, passed_}, host_.sender_id(peer));
}

bool Reader::circulates(const firefly::Firefly& firefly, const Address& peer, Clock::time_point now) {
    if (!firefly.member) return false;
    streams_.note(peer, *firefly.member);
    const bool own = firefly.member->path.origin == common_.boot || firefly.member->boot == common_.boot;
    const FlowState flow{firefly.key, static_cast<std::uint32_t>(firefly.state)};
    if (!own && !common_.numbers.repeated(hash_of_number(*firefly.member, flow), now)) return false;
    turn_away(own ? TurnedAway::own : TurnedAway::repeated);
    common_.loops.note(peer, own);
    return true;
}

void Reader::drain(const Deadline& deadline) {
    const auto announced = [&] {
        return deadline.await([this] {
            const bool done = outbox_.drain();
            common_.relay.flush();
            return done;
        });
    };
    bool in_time = announced();
    for (Inlet& inlet : inlets_) {
        if (deadline.reason() == FLOWD_STOP_REPLACED && inlet.has_successor()) continue;
        while (in_time && read_batch(inlet) > 0) in_time = announced() && !deadline.passed();
    }
}

std::uint64_t Reader::close() {
    std::uint64_t left = outbox_.clear();
    for (Inlet& inlet : inlets_) left += inlet.close(receive_);
    return left;
}

void Reader::publish() {
    const auto lock = turn();
    for (Inlet& inlet : inlets_) inlet.publish();
}

void Reader::add_to(Tally& all) const {
    const auto add = [](auto& sums, const auto& counts) {
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += counts[i];
    };
    const auto lock = turn();
    for (const Inlet& inlet : inlets_) {
        all.received += inlet.received();
        all.drops += inlet.drops();
    }
    for (const auto& [sender, lost] : streams_.lost()) all.lost_by_sender[sender] += lost;
    all.lost_of_others += streams_.lost_of_others();
    all.lost += streams_.total();
    all.not_taken += outbox_.refused();
    all.pauses += outbox_.pauses();
    all.paused |= outbox_.full();
    add(all.announced, outbox_.taken());
    add(all.turned_away, turned_away_);
    add(all.refused, refused_);
    if (!last_error_.empty()) all.last_error = last_error_;
}

void Reader::add_findings(std::vector<Finding>& all) const {
    const auto lock = turn();
    for (const Inlet& inlet : inlets_) inlet.add_findings(all);
}

void Reader::status(json::Writer& array) const {
    const auto lock = turn();
    for (const Inlet& inlet : inlets_) inlet.status(array);
}

}  // namespace flowd::fireflyp
