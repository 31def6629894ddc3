// SPDX-License-Identifier: Apache-2.0
#include "scripted.hpp"

#include <thread>

namespace flowd::core::test {

namespace {

struct Made {
    Script* script;
};
Script& script_of(flowd_instance* instance) {
    return *reinterpret_cast<Made*>(instance)->script;
}

flowd_result create(const flowd_host* host, const flowd_value* values, flowd_instance** instance) {
    Script& script = Scripts::of(host->instance);
    script.host = host;
    ++script.created;
    script.value = values->items[0].integer;
    const flowd_result result = script.create ? script.create() : FLOWD_OK;
    if (result == FLOWD_OK) *instance = reinterpret_cast<flowd_instance*>(new Made{&script});
    return result;
}
flowd_result prepare(flowd_instance* instance) {
    Script& script = script_of(instance);
    ++script.prepared;
    return script.prepare ? script.prepare() : FLOWD_OK;
}
flowd_result start(flowd_instance* instance) {
    Script& script = script_of(instance);
    ++script.started;
    return script.start ? script.start() : FLOWD_OK;
}
flowd_result run(flowd_instance* instance) {
    Script& script = script_of(instance);
    return script.run(script.host);
}
flowd_result stop(flowd_instance* instance, std::int64_t, std::uint32_t reason) {
    Script& script = script_of(instance);
    script.stop_reason = reason;
    ++script.stopped;
    return script.stop ? script.stop() : FLOWD_OK;
}
void destroy(flowd_instance* instance) {
    const std::unique_ptr<Made> made(reinterpret_cast<Made*>(instance));
    ++made->script->destroyed;
    if (made->script->destroy) made->script->destroy();
}
flowd_result reconfigure(flowd_instance* instance, const flowd_value* values) {
    Script& script = script_of(instance);
    ++script.reconfigured;
    const flowd_result result = script.reconfigure ? script.reconfigure() : FLOWD_OK;
    if (result == FLOWD_OK) script.value = values->items[0].integer;
    return result;
}
flowd_result on_events(flowd_instance* instance, const flowd_event* events, std::size_t count, std::size_t stride,
                       std::size_t* taken) {
    EXPECT_EQ(stride, sizeof(flowd_event));
    EXPECT_EQ(*taken, 0U);
    Script& script = script_of(instance);
    if (script.on_part) return script.on_part(events, count, taken);
    return script.on_events ? script.on_events(events, count) : FLOWD_OK;
}
flowd_result sample(flowd_instance* instance, const flowd_flow* flows, std::size_t count, std::size_t, std::int32_t last,
                    const flowd_samples* samples) {
    Script& script = script_of(instance);
    return script.sample ? script.sample(flows, count, last != 0, samples) : FLOWD_OK;
}
void on_room(flowd_instance* instance) {
    if (script_of(instance).on_room) script_of(instance).on_room();
}
const void* extension(flowd_instance* instance, const char* id) {
    Script& script = script_of(instance);
    return script.extension ? script.extension(id) : nullptr;
}

flowd_component make(std::uint32_t kind, std::uint32_t loop, bool with_reconfigure, std::uint32_t flags) {
    flowd_component made{};
    made.size = sizeof made;
    made.kind = kind;
    made.name = "scripted";
    made.summary = "Does what a test says.";
    made.loop = loop;
    made.flags = flags;
    made.precedence = FLOWD_PRECEDENCE_EXPLICIT;
    made.accepts = 1U << FLOWD_EVENT_START | 1U << FLOWD_EVENT_ONGOING | 1U << FLOWD_EVENT_END;
    made.create = create;
    made.prepare = prepare;
    made.start = start;
    made.run = run;
    made.stop = stop;
    made.destroy = destroy;
    made.on_events = on_events;
    made.sample = sample;
    made.on_room = on_room;
    made.extension = extension;
    if (with_reconfigure) made.reconfigure = reconfigure;
    return made;
}

}  // namespace

const flowd_component& component(std::uint32_t kind, std::uint32_t loop, bool with_reconfigure, std::uint32_t flags) {
    static std::map<std::tuple<std::uint32_t, std::uint32_t, bool, std::uint32_t>, flowd_component> made;
    const auto key = std::tuple(kind, loop, with_reconfigure, flags);
    if (made.count(key) == 0) made.emplace(key, make(kind, loop, with_reconfigure, flags));
    return made.at(key);
}

InstanceConfig config(std::uint32_t kind, const std::string& key, std::int64_t value, std::uint32_t loop,
                      bool with_reconfigure, std::uint32_t flags) {
    InstanceConfig made;
    made.kind = kind;
    made.component_name = "scripted";
    made.key = key;
    made.written_path = std::string(section_name(kind)) + "." + key;
    made.component = &component(kind, loop, with_reconfigure, flags);
    made.where = {"conf.yaml", 3, 5};
    made.values.remember("", made.where);
    flowd_value& root = made.values.root();
    root.size = sizeof root;
    root.type = FLOWD_OPTION_GROUP;
    flowd_value* item = made.values.add_items(root, 1);
    item->type = FLOWD_OPTION_INTEGER;
    item->flags = FLOWD_VALUE_PRESENT;
    item->integer = value;
    return made;
}

bool eventually(const std::function<bool()>& condition) {
    const auto deadline = SteadyClock::now() + patience;
    while (!condition()) {
        if (SteadyClock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

Rig::Rig() {
    settings_.stop_timeout = std::chrono::duration_cast<std::chrono::nanoseconds>(patience);
}

void Rig::TearDown() {
    if (supervisor_ != nullptr) supervisor_->stop();
}

Rig::~Rig() {
    supervisor_.reset();
    Scripts::clear();
}

std::string Rig::log() const {
    std::string text(static_cast<std::size_t>(::lseek(log_fd_.get(), 0, SEEK_END)), '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(log_fd_.get(), text.data(), text.size(), 0))));
    return text;
}

std::unique_ptr<Instance> Rig::instance(InstanceConfig config) {
    return std::make_unique<Instance>(std::make_shared<const InstanceConfig>(std::move(config)), services_,
                                      [this] { loop_->wake(); });
}

std::unique_ptr<Instance> Rig::launched(InstanceConfig config, InstanceState until) {
    auto made = instance(std::move(config));
    made->launch();
    EXPECT_TRUE(reaches(*made, until)) << log();
    return made;
}

std::unique_ptr<Instance> Rig::running(InstanceConfig config) {
    auto made = launched(std::move(config));
    EXPECT_TRUE(made->attach(settings_.queues));
    made->start();
    EXPECT_TRUE(reaches(*made, InstanceState::running)) << log();
    return made;
}

bool Rig::reaches(const Instance& instance, InstanceState state) {
    return eventually([&] { return instance.state() == state; });
}

bool Rig::stops(Instance& instance, std::chrono::milliseconds time) {
    instance.request_stop(SteadyClock::now() + time, FLOWD_STOP_REMOVED);
    return eventually([&] { return instance.finished(); });
}

Supervisor& Rig::supervisor() {
    if (supervisor_ == nullptr) {
        const auto wait = [this](const Supervisor::Condition& condition, SteadyClock::time_point deadline, auto) {
            while (!condition()) {
                const auto now = SteadyClock::now();
                if (now >= deadline) return false;
                loop_->wait(std::chrono::ceil<std::chrono::milliseconds>(deadline - now));
            }
            return true;
        };
        supervisor_ = std::make_unique<Supervisor>(
            Supervisor::Surroundings{services_, [this] { loop_->wake(); }, wait, *logger_}, settings_);
    }
    return *supervisor_;
}

flowd_event event(std::uint32_t kind, std::uint32_t n, std::uint32_t experiment, std::uint32_t activity) {
    flowd_event made{};
    made.size = sizeof made;
    made.kind = kind;
    Address::Bytes source{0x20, 0x01, 0x0d, 0xb8}, destination{0x20, 0x01, 0x0d, 0xb9};
    for (std::size_t i = 0; i < 4; ++i) source[12 + i] = static_cast<std::uint8_t>(n >> (24 - 8 * i));
    destination[15] = 1;
    made.key = make_key({Address(source), 1000}, {Address(destination), 2000}, 6);
    made.tag = {experiment, activity};
    return made;
}

std::uint32_t number_of(const flowd_event& event) {
    std::uint32_t n = 0;
    for (std::size_t i = 12; i < 16; ++i) n = n << 8 | event.key.source[i];
    return n;
}

}  // namespace flowd::core::test
