// SPDX-License-Identifier: Apache-2.0
// A plugin that announces the TCP connections of batch jobs. HTCondor and Slurm run each job in a control group; the kernel
// reports the control group of each socket (sock_diag(7)).
#include <fnmatch.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flowd/key.hpp"
#include "flowd/module.hpp"
#include "flowd/outbox.hpp"

namespace batchjobs {
namespace fs = std::filesystem;

struct Rule {
    std::string group;
    std::uint32_t experiment = 0, activity = 0;
    static const flowd::Table<Rule>& table() {
        static const flowd::Table<Rule> table{
            flowd::option("group", &Rule::group)
                .required()
                .doc("Shell pattern for the path of a control group, relative to the root; * also matches a slash."),
            flowd::option("experiment", &Rule::experiment)
                .experiment()
                .range(0, 511)
                .required()
                .doc("Experiment of the jobs."),
            flowd::option("activity", &Rule::activity).activity().range(0, 63).required().doc("Activity of the jobs."),
        };
        return table;
    }
};

struct Options {
    fs::path root;
    std::chrono::milliseconds period{};
    std::vector<Rule> rules;
    static const flowd::Table<Options>& table() {
        static const flowd::Table<Options> table{
            flowd::option("root", &Options::root)
                .default_value("/sys/fs/cgroup")
                .doc("Where control groups of version 2 are mounted."),
            flowd::option("period", &Options::period)
                .default_value("5s")
                .range(std::chrono::milliseconds(100), std::chrono::hours(1))
                .doc("How often jobs and connections are listed."),
            flowd::option("rules", &Options::rules).length(1, 64).required().doc("The first that matches applies."),
        };
        return table;
    }
};

struct Job {
    std::string name, rule;
    flowd_tag tag{};
};
using Jobs = std::unordered_map<std::uint64_t, Job>;  // by the id of the control group: its inode number
using Connections = std::unordered_map<flowd_key, Job, flowd::KeyHash, flowd::KeyEqual>;

/// Calls `visit` with the control group of each connected TCP socket of one address family.
flowd::Result<void> visit_sockets(int family, const std::function<void(const flowd_key&, std::uint64_t group)>& visit) {
    using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;
    const Socket socket(::mnl_socket_open(NETLINK_SOCK_DIAG), &::mnl_socket_close);
    if (!socket || ::mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return flowd::Error::from_errno(errno, "opening a netlink socket");

    alignas(nlmsghdr) char buffer[32768];
    nlmsghdr* const request = ::mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    auto* const body = static_cast<inet_diag_req_v2*>(::mnl_nlmsg_put_extra_header(request, sizeof(inet_diag_req_v2)));
    body->sdiag_family = static_cast<std::uint8_t>(family);
    body->sdiag_protocol = IPPROTO_TCP;
    body->idiag_states = ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT);
    if (::mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0)
        return flowd::Error::from_errno(errno, "asking for sockets");

    const mnl_cb_t on_message = [](const nlmsghdr* message, void* user) {
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return MNL_CB_OK;
        const auto& found = *static_cast<const inet_diag_msg*>(::mnl_nlmsg_get_payload(message));
        const auto address_of = [&](const std::uint32_t(&words)[4]) {
            in_addr v4{words[0]};
            in6_addr v6{};
            std::memcpy(&v6, words, sizeof v6);
            return found.idiag_family == AF_INET ? flowd::Address(v4) : flowd::Address(v6);
        };
        std::uint64_t group = 0;
        const mnl_attr_cb_t on_attribute = [](const nlattr* attribute, void* out) {
            if (::mnl_attr_get_type(attribute) == INET_DIAG_CGROUP_ID &&
                ::mnl_attr_get_payload_len(attribute) == sizeof group)
                *static_cast<std::uint64_t*>(out) = ::mnl_attr_get_u64(attribute);
            return MNL_CB_OK;
        };
        ::mnl_attr_parse(message, sizeof(inet_diag_msg), on_attribute, &group);
        (*static_cast<decltype(&visit)>(user))(
            flowd::make_key({address_of(found.id.idiag_src), ntohs(found.id.idiag_sport)},
                            {address_of(found.id.idiag_dst), ntohs(found.id.idiag_dport)}, IPPROTO_TCP),
            group);
        return MNL_CB_OK;
    };
    for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
        const ssize_t length = ::mnl_socket_recvfrom(socket.get(), buffer, sizeof buffer);
        if (length > 0)
            more = ::mnl_cb_run(buffer, static_cast<std::size_t>(length), 0, ::mnl_socket_get_portid(socket.get()),
                                on_message, const_cast<void*>(static_cast<const void*>(&visit)));
        if (length <= 0 || more < 0) return flowd::Error::from_errno(errno, "listing the sockets");
    }
    return {};
}

class BatchJobs final : public flowd::Plugin {
  public:
    using Options = batchjobs::Options;
    // The tag comes from a rule: what the job itself says of its transfers (fireflyp, api) takes precedence.
    static constexpr flowd::Info info{.name = "batchjobs",
                                      .summary = "Announces the TCP connections of batch jobs by control group.",
                                      .precedence = FLOWD_PRECEDENCE_RULE};

    BatchJobs(flowd::Host& host, Options options) : Plugin(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override {
        std::error_code error;
        if (fs::exists(options_.root / "cgroup.controllers", error)) return {};
        return flowd::Error{FLOWD_NOT_FOUND, options_.root.string() + " is no mount of control groups of version 2",
                            "findmnt -t cgroup2 shows where they are mounted: write it as root"};
    }
    flowd::Result<void> start() override {
        auto timer = host().every(options_.period, [this] {
            if (auto done = look(FLOWD_END_SOCKET_GONE); !done) host().report(flowd::Problem::from(done.error()));
        });
        if (!timer) return std::move(timer).error();
        timer_ = *std::move(timer);
        return look(FLOWD_END_SOCKET_GONE);
    }
    flowd::Result<void> reconfigure(Options options) {
        if (options.root != options_.root || options.period != options_.period)
            return flowd::Error{FLOWD_UNSUPPORTED, "a new instance is needed"};
        options_ = std::move(options);
        return look(FLOWD_END_WITHDRAWN);  // re-tags what another rule matches now, withdraws what none matches
    }
    flowd::Result<void> stop(flowd::Deadline deadline) override {
        timer_.reset();
        if (deadline.reason() != FLOWD_STOP_REPLACED) announce({}, FLOWD_END_WITHDRAWN);  // a successor keeps the flows
        outbox_.stop(deadline);
        return {};
    }
    void on_room() override { outbox_.drain(); }
    void status(flowd::json::Writer& object) const override {
        object.member("summary", "announces " + std::to_string(announced_.size()) + " connections");
        object.member("jobs", jobs_).member("connections", announced_.size());
    }

  private:
    [[nodiscard]] Jobs find_jobs() const {
        Jobs jobs;
        std::error_code error;
        const auto skip = fs::directory_options::skip_permission_denied;
        for (fs::recursive_directory_iterator it(options_.root, skip, error), end; !error && it != end;
             it.increment(error)) {
            struct stat group {};
            if (!it->is_directory(error) || ::stat(it->path().c_str(), &group) != 0) continue;
            const std::string path = it->path().lexically_relative(options_.root);
            for (std::size_t i = 0; i < options_.rules.size(); ++i) {
                if (::fnmatch(options_.rules[i].group.c_str(), path.c_str(), 0) != 0) continue;
                const flowd_tag tag{options_.rules[i].experiment, options_.rules[i].activity};
                jobs.emplace(group.st_ino, Job{it->path().filename(), "rules[" + std::to_string(i) + "]", tag});
                break;
            }
        }
        return jobs;
    }
    flowd::Result<void> look(std::uint8_t end_reason) {
        if (outbox_.full()) return {};  // the kernel keeps what there is to say
        const Jobs jobs = find_jobs();
        jobs_ = jobs.size();
        Connections found;
        for (const int family : {AF_INET, AF_INET6}) {
            auto done = visit_sockets(family, [&](const flowd_key& key, std::uint64_t group) {
                if (const auto job = jobs.find(group); job != jobs.end()) found.emplace(key, job->second);
            });
            if (!done) return done;
        }
        announce(std::move(found), end_reason);
        return {};
    }
    /// Ends what is not in `now`, announces what is new, and re-tags what another rule matches.
    void announce(Connections now, std::uint8_t end_reason) {
        for (const auto& [key, job] : announced_) {
            if (now.count(key) != 0) continue;
            flowd::Event event = flowd::Event::end(key, job.tag);
            event->end_reason = end_reason;
            outbox_.add(std::move(event));
        }
        for (const auto& [key, job] : now) {
            const auto before = announced_.find(key);
            if (before != announced_.end() && flowd::same_tag(before->second.tag, job.tag)) continue;
            flowd::Event event = flowd::Event::start(key, job.tag);
            event->local = FLOWD_LOCAL_SOURCE;
            event.application(job.name).rule(job.rule);
            outbox_.add(std::move(event));
        }
        outbox_.flush();
        announced_ = std::move(now);
    }

    Options options_;
    std::size_t jobs_ = 0;
    Connections announced_;
    flowd::Outbox outbox_{host()};
    flowd::Timer timer_;
};

}  // namespace batchjobs

FLOWD_MODULE(batchjobs::BatchJobs);
