// SPDX-License-Identifier: Apache-2.0
// flowd/testing/instance.hpp: runs one instance of a component through its lifecycle, as the core would. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/plan.h"
#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"
#include "flowd/event.hpp"
#include "flowd/findings.hpp"
#include "flowd/testing/config.hpp"
#include "flowd/testing/fake_host.hpp"

namespace flowd::testing {

/// The component with this name, of the module that is linked into the test.
[[nodiscard]] inline const flowd_component& component_of(const flowd_module& module, std::string_view name) {
    for (std::size_t i = 0; i < module.component_count; ++i) {
        const auto* at = reinterpret_cast<const char*>(module.components) + i * module.component_stride;
        const auto* component = reinterpret_cast<const flowd_component*>(at);
        if (name == component->name) return *component;
    }
    throw std::invalid_argument("the module has no component '" + std::string(name) + "'");
}

/// A sample that an enricher added.
struct RecordedSample {
    flowd_sample sample{};
    std::string source;
    std::string tcp_info;
    std::string congestion;
    std::vector<std::pair<std::string, std::string>> attachments;
};

struct Answer {
    flowd_result result = FLOWD_OK;
    std::string json;
};

class Instance {
  public:
    Instance(FakeHost& host, const flowd_component& component, Config config)
        : host_(host), component_(component), config_(std::move(config)) {}
    Instance(FakeHost& host, const flowd_component& component) : Instance(host, component, Config(component)) {}
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance() { destroy(); }

    /// Reports problems to the host: FakeHost::problems().
    flowd_result validate() {
        if (component_.validate == nullptr) return FLOWD_OK;
        flowd_problems sink{};
        sink.size = sizeof sink;
        sink.context = &host_;
        sink.report = [](const flowd_problems* problems, const flowd_problem* problem) {
            const auto* host = static_cast<FakeHost*>(problems->context)->raw();
            host->report(host, problem);
        };
        return component_.validate(host_.raw(), &config_.value(), &sink);
    }
    flowd_result create() { return component_.create(host_.raw(), &config_.value(), &instance_); }
    flowd_result prepare() { return component_.prepare == nullptr ? FLOWD_OK : component_.prepare(instance_); }
    flowd_result start() { return component_.start(instance_); }
    /// validate, create, prepare and start, until the first failure.
    flowd_result bring_up() {
        if (const flowd_result result = validate(); result != FLOWD_OK) return result;
        if (const flowd_result result = create(); result != FLOWD_OK) return result;
        if (const flowd_result result = prepare(); result != FLOWD_OK) return result;
        return start();
    }
    /// For own loops: blocks until FakeHost::request_stop, which leads to a call of stop.
    flowd_result run() {
        host_.on_stop([this] { (void)stop(); });
        return component_.run(instance_);
    }
    flowd_result stop(std::chrono::nanoseconds grace = std::chrono::seconds(5), std::uint32_t reason = FLOWD_STOP_REMOVED) {
        const auto deadline = std::chrono::steady_clock::now().time_since_epoch() + grace;
        return component_.stop(instance_, std::chrono::duration_cast<std::chrono::nanoseconds>(deadline).count(), reason);
    }
    /// Stops the instance first if necessary. Afterwards emit and post of the host return FLOWD_STOPPED.
    void destroy() {
        if (instance_ == nullptr) return;
        (void)stop();
        host_.set_stopped();
        component_.destroy(std::exchange(instance_, nullptr));
    }
    flowd_result reconfigure(Config config) {
        if (component_.reconfigure == nullptr) return FLOWD_UNSUPPORTED;
        return component_.reconfigure(instance_, &config.value());
    }
    [[nodiscard]] flowd_instance* raw() const { return instance_; }

    flowd_result deliver(std::span<const flowd_event> events) {
        taken_ = 0;
        const flowd_result result =
            component_.on_events(instance_, events.data(), events.size(), sizeof(flowd_event), &taken_);
        if (result == FLOWD_OK) taken_ = events.size();
        return result;
    }
    /// Number of events of the last batch that the backend took.
    [[nodiscard]] std::size_t taken() const { return taken_; }
    flowd_result deliver(const Event& event) { return deliver(std::span<const flowd_event>(&event.raw(), 1)); }
    void on_room() {
        if (component_.on_room != nullptr) component_.on_room(instance_);
    }

    /// One period of an enricher, in one batch.
    std::vector<RecordedSample> sample(std::span<const flowd_flow> flows) {
        std::vector<RecordedSample> out;
        flowd_samples sink{};
        sink.size = sizeof sink;
        sink.context = &out;
        sink.add = [](const flowd_samples* samples, const flowd_sample* raw) -> flowd_result {
            RecordedSample recorded{copy_sized<flowd_sample>(raw), {}, {}, {}, {}};
            recorded.source = to_view(recorded.sample.source);
            recorded.tcp_info = to_view(recorded.sample.tcp_info);
            recorded.congestion = to_view(recorded.sample.congestion);
            for (const flowd_attachment& one : SizedRange<flowd_attachment>(
                     recorded.sample.attachments, recorded.sample.attachment_count, recorded.sample.attachment_stride))
                recorded.attachments.emplace_back(to_view(one.id), to_view(one.bytes));
            static_cast<std::vector<RecordedSample>*>(samples->context)->push_back(std::move(recorded));
            return FLOWD_OK;
        };
        last_result_ = component_.sample(instance_, flows.data(), flows.size(), sizeof(flowd_flow), 1, &sink);
        return out;
    }
    [[nodiscard]] flowd_result last_sample_result() const { return last_result_; }

    /// Through flowd.status/1. "null" if the component does not offer it.
    std::string status() {
        const auto* extension = offered<flowd_ext_status>(FLOWD_EXT_STATUS);
        if (extension == nullptr) return "null";
        std::string out;
        const flowd_writer writer = writer_into(out);
        (void)extension->status(instance_, &writer);
        return out;
    }
    /// Through flowd.findings/1. `id` is the module's static text.
    std::vector<Finding> findings() {
        std::vector<Finding> out;
        const auto* extension = offered<flowd_ext_findings>(FLOWD_EXT_FINDINGS);
        if (extension == nullptr || extension->instance == nullptr) return out;
        const flowd_findings sink = findings_into(out);
        last_result_ = extension->instance(instance_, &sink);
        return out;
    }
    /// Through the offline flowd.findings/1: problems of this host, without an instance.
    std::vector<Finding> host_findings() {
        std::vector<Finding> out;
        const void* const table = component_.offline == nullptr ? nullptr : component_.offline(FLOWD_EXT_FINDINGS);
        const auto extension = copy_sized<flowd_ext_findings>(table);
        if (extension.offline == nullptr) return out;
        const flowd_findings sink = findings_into(out);
        last_result_ = extension.offline(host_.raw(), &config_.value(), &sink);
        return out;
    }
    /// Through flowd.explain/1: "VERDICT SUBJECT: TEXT" of each explanation of one flow.
    std::vector<std::string> explain(const flowd_flow& flow) {
        std::vector<std::string> out;
        const auto* extension = offered<flowd_ext_explain>(FLOWD_EXT_EXPLAIN);
        if (extension == nullptr) return out;
        flowd_explanations sink{};
        sink.size = sizeof sink;
        sink.context = &out;
        sink.add = [](const flowd_explanations* self, const flowd_explanation* raw) -> flowd_result {
            const auto one = copy_sized<flowd_explanation>(raw);
            static_cast<std::vector<std::string>*>(self->context)
                ->push_back(std::string(one.verdict) + (one.subject.length == 0 ? "" : " ") +
                            std::string(to_view(one.subject)) + ": " + std::string(to_view(one.text)));
            return FLOWD_OK;
        };
        last_result_ = extension->explain(instance_, &flow, 1, sizeof flow, &sink);
        return out;
    }
    /// Through the offline flowd.plan/1: "INDEX OUTCOME EXPERIMENT/ACTIVITY RULE: TEXT" of each entry, without an instance.
    std::vector<std::string> plan(const std::vector<flowd_connection>& connections) {
        std::vector<std::string> out;
        const void* const table = component_.offline == nullptr ? nullptr : component_.offline(FLOWD_EXT_PLAN);
        const auto extension = copy_sized<flowd_ext_plan>(table);
        if (extension.offline == nullptr) return out;
        flowd_plan sink{};
        sink.size = sizeof sink;
        sink.context = &out;
        sink.add = [](const flowd_plan* self, const flowd_planned* raw) -> flowd_result {
            const auto one = copy_sized<flowd_planned>(raw);
            static_cast<std::vector<std::string>*>(self->context)
                ->push_back(std::to_string(one.connection) + " " + std::to_string(one.outcome) + " " +
                            std::to_string(one.tag.experiment) + "/" + std::to_string(one.tag.activity) + " " +
                            std::string(to_view(one.rule)) + ": " + std::string(to_view(one.text)));
            return FLOWD_OK;
        };
        last_result_ = extension.offline(host_.raw(), &config_.value(), connections.data(), connections.size(),
                                         sizeof(flowd_connection), &sink);
        return out;
    }
    /// Through flowd.command/1: the command's name and its arguments.
    Answer command(std::initializer_list<std::string_view> words) {
        Answer answer;
        const auto* extension = offered<flowd_ext_command>(FLOWD_EXT_COMMAND);
        if (extension == nullptr) return {FLOWD_UNSUPPORTED, {}};
        std::vector<flowd_string> raw;
        for (const auto word : words) raw.push_back(to_c(word));
        const flowd_writer writer = writer_into(answer.json);
        answer.result = extension->run(instance_, raw.data(), raw.size(), &writer);
        return answer;
    }

  private:
    template <typename Extension>
    const Extension* offered(const char* id) {
        if (component_.extension == nullptr) return nullptr;
        return static_cast<const Extension*>(component_.extension(instance_, id));
    }
    static flowd_findings findings_into(std::vector<Finding>& out) {
        flowd_findings sink{};
        sink.size = sizeof sink;
        sink.context = &out;
        sink.add = [](const flowd_findings* self, const flowd_finding* raw) -> flowd_result {
            const auto one = copy_sized<flowd_finding>(raw);
            static_cast<std::vector<Finding>*>(self->context)
                ->push_back({one.severity, one.id, std::string(to_view(one.subject)), std::string(to_view(one.found)),
                             std::string(to_view(one.expected)), std::string(to_view(one.remedy)), one.since_ns});
            return FLOWD_OK;
        };
        return sink;
    }
    static flowd_writer writer_into(std::string& out) {
        flowd_writer writer{};
        writer.size = sizeof writer;
        writer.context = &out;
        writer.write = [](const flowd_writer* self, flowd_string text) -> flowd_result {
            static_cast<std::string*>(self->context)->append(to_view(text));
            return FLOWD_OK;
        };
        return writer;
    }

    FakeHost& host_;
    const flowd_component& component_;
    Config config_;
    flowd_instance* instance_ = nullptr;
    flowd_result last_result_ = FLOWD_OK;
    std::size_t taken_ = 0;
};

}  // namespace flowd::testing
