// SPDX-License-Identifier: Apache-2.0
// The kafka backend and its spool next to floors, for scripts/bench-kafka. Each prints "rate R cpu C": records a second,
// and microseconds of CPU per record in all threads of this process.
//   kafka-bench produce BROKER TOPIC COUNT   the floor: librdkafka with the same settings and records, and nothing else
//   kafka-bench backend BROKER TOPIC COUNT   the backend: from flow events
//   kafka-bench insert FILE COUNT            the floor: SQLite with the same records, batches and synchronisation
//   kafka-bench spool FILE COUNT             the backend, while no broker answers: from flow events to durable records
//   kafka-bench open FILE                    opens a spool; prints "records N milliseconds M"
#include <netinet/in.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/kafka/kafka.hpp"
#include "flowd/testing/instance.hpp"
#include "lib/spool/spool.hpp"

namespace {

using namespace flowd;         // NOLINT(google-build-using-namespace)
using namespace flowd::kafka;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;

constexpr std::size_t distinct = 20'000, batch = 64;
constexpr std::size_t per_commit = 2'000;  ///< of the floor: what 40,000 events a second are in 50 ms

template <typename T>
T must(Result<T> result) {
    if (result) return std::move(result).value();
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Figures {
  public:
    void print(std::size_t count) const {
        const std::chrono::duration<double> passed = Clock::now() - begin_;
        const auto records = static_cast<double>(count);
        std::printf("rate %.0f cpu %.2f\n", records / passed.count(), (cpu_seconds() - cpu_) / records * 1e6);
    }

  private:
    Clock::time_point begin_ = Clock::now();
    double cpu_ = cpu_seconds();
};

/// Ends of flows, as XRootD announces them by fireflyp.
std::vector<Event> ends() {
    std::vector<Event> all;
    for (std::size_t i = 0; i < distinct; ++i) {
        const auto port = static_cast<std::uint16_t>(1024 + i);
        Event event = Event::end(
            make_key({*Address::parse("2001:db8::1"), port}, {*Address::parse("2001:db8:1::2"), 1094}, IPPROTO_TCP),
            {2, 16});
        event->flow_id = i + 1;
        event->flags = FLOWD_LEARNT_REMOTELY;
        event.attach(
            FLOWD_ATTACHMENT_DATAGRAM,
            R"(<134>1 - se1.example.org xrootd - firefly-json - {"version":1,"flow-lifecycle":{"state":"end",)"
            R"("current-time":"2026-06-24T08:49:24.230146+00:00","start-time":"2026-06-24T08:48:24.201540+00:00",)"
            R"("end-time":"2026-06-24T08:49:24.230146+00:00"},"usage":{"received":813,"sent":10507049000},)"
            R"("netlink":{"rtt":101.053},"context":{"experiment-id":2,"activity-id":16,"application":"xrdcp"},)"
            R"("flow-id":{"afi":"ipv6","src-ip":"2001:db8::1","dst-ip":"2001:db8:1::2","protocol":"tcp","src-port":)" +
                std::to_string(port) + R"(,"dst-port":1094}})");
        all.push_back(std::move(event));
    }
    return all;
}

std::vector<flowd_event> raw_of(const std::vector<Event>& events) {
    std::vector<flowd_event> raw;
    for (const Event& event : events) raw.push_back(event.raw());
    return raw;
}

std::vector<Record> records_of(const std::vector<Event>& events) {
    RecordWriter writer({"relay.example.org", "flowd-cpp", firefly::Verbosity::lean, {}, 1'000'000});
    std::vector<Record> records;
    for (const Event& event : events) records.push_back(writer.write(EventView(event.raw()), 0).value());
    return records;
}

class Counting final : public ClientListener {
  public:
    void on_report(const rd_kafka_message_t&) override { ++reports; }
    void on_error(rd_kafka_resp_err_t, const char*) override {}
    void on_connected() override {}
    void on_log(int, const char*) override {}
    std::size_t reports = 0;
};

void produce(const std::string& broker, const std::string& topic, std::size_t count) {
    const auto records = records_of(ends());
    KafkaOptions options;
    options.brokers = {broker};
    Counting counting;
    const auto client = must(Client::producer(options.connection(), options, &counting));
    const Figures figures;
    for (std::size_t sent = 0; counting.reports < count;) {
        for (; sent < count && sent - counting.reports < options.queue.records; ++sent) {
            const Record& record = records[sent % distinct];
            std::array<rd_kafka_vu_t, 3> values{};
            values[0].vtype = RD_KAFKA_VTYPE_TOPIC;
            values[0].u.cstr = topic.c_str();
            values[1].vtype = RD_KAFKA_VTYPE_KEY;
            values[1].u.mem = {const_cast<char*>(record.key.data()), record.key.size()};
            values[2].vtype = RD_KAFKA_VTYPE_VALUE;
            values[2].u.mem = {const_cast<char*>(record.value.data()), record.value.size()};
            if (rd_kafka_error_t* const error = rd_kafka_produceva(client->handle(), values.data(), values.size())) {
                std::fprintf(stderr, "%s\n", rd_kafka_error_string(error));
                std::exit(1);
            }
            if (sent % batch == 0) (void)client->serve(batch);
        }
        (void)client->serve(1000, std::chrono::milliseconds(10));
    }
    figures.print(count);
}

/// `done`: what the status says when all is over.
void feed(testing::Config& config, testing::FakeHost& host, std::size_t count, std::string_view before,
          std::string_view done) {
    const auto events = ends();
    const auto raw = raw_of(events);
    testing::Instance instance(host, component<KafkaBackend>(), config);
    if (instance.bring_up() != FLOWD_OK) std::exit(1);
    const auto shows = [&](std::string_view part) { return instance.status().find(part) != std::string::npos; };
    const auto wait = [&](std::string_view part) {
        (void)host.run_until([&] { return shows(part); }, std::chrono::hours(1));
    };
    wait(before);
    const Figures figures;
    for (std::size_t sent = 0; sent < count;) {
        const std::size_t first = sent % distinct;
        const std::size_t size = std::min({batch, distinct - first, count - sent});
        const std::size_t readies = host.readies();
        const auto result = instance.deliver(std::span(raw).subspan(first, size));
        sent += instance.taken();
        host.poll();
        if (result == FLOWD_FULL) (void)host.run_until([&] { return host.readies() > readies; }, std::chrono::minutes(1));
    }
    wait(done);
    figures.print(count);
}

void backend(const std::string& broker, const std::string& topic, std::size_t count) {
    testing::FakeHost host("kafka");
    testing::Config config(component<KafkaBackend>());
    config.set("brokers[0]", broker).set("topic", topic);
    feed(config, host, count, R"("records":0,)", "\"records\":" + std::to_string(count) + ",");
}

void spool_events(const std::string& file, std::size_t count) {
    testing::FakeHost host("kafka");
    testing::Config config(component<KafkaBackend>());
    config.set("brokers[0]", "127.0.0.1:9").set("spool.path", file).set("spool.maxBytes", "64 GiB");
    feed(config, host, count, "\"state\":\"degraded\"", "\"spooled\":" + std::to_string(count) + ",");
}

void insert(const std::string& file, std::size_t count) {
    const auto records = records_of(ends());
    sqlite3* database = nullptr;
    if (sqlite3_open(file.c_str(), &database) != SQLITE_OK) std::exit(1);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> owner(database, &sqlite3_close);
    const auto run = [database](const char* sql) { (void)sqlite3_exec(database, sql, nullptr, nullptr, nullptr); };
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE records(id INTEGER PRIMARY KEY, key BLOB, value "
        "BLOB)");
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database, "INSERT INTO records VALUES(?1, ?2, ?3)", -1, &statement, nullptr) != SQLITE_OK)
        std::exit(1);
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement_owner(statement, &sqlite3_finalize);
    const Figures figures;
    for (std::size_t i = 0; i < count; ++i) {
        if (i % per_commit == 0) run("BEGIN");
        const Record& record = records[i % distinct];
        (void)sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(i + 1));
        (void)sqlite3_bind_blob64(statement, 2, record.key.data(), record.key.size(), SQLITE_STATIC);
        (void)sqlite3_bind_blob64(statement, 3, record.value.data(), record.value.size(), SQLITE_STATIC);
        if (sqlite3_step(statement) != SQLITE_DONE) std::exit(1);
        (void)sqlite3_reset(statement);
        if (i % per_commit == per_commit - 1 || i + 1 == count) run("COMMIT");
    }
    figures.print(count);
}

void open_spool(const std::string& file) {
    const auto begin = Clock::now();
    const auto spool = must(spool::Spool::open(file, std::uint64_t{1} << 40));
    const std::chrono::duration<double, std::milli> passed = Clock::now() - begin;
    std::printf("records %llu milliseconds %.1f\n", static_cast<unsigned long long>(spool->records()), passed.count());
}

}  // namespace

int main(int argc, char** argv) {
    const std::span<char*> words(argv, static_cast<std::size_t>(argc));
    const std::string_view what = argc > 1 ? words[1] : "";
    const std::size_t count = argc > 2 ? std::strtoull(words.back(), nullptr, 10) : 0;
    if (what == "produce" && argc == 5)
        produce(words[2], words[3], count);
    else if (what == "backend" && argc == 5)
        backend(words[2], words[3], count);
    else if (what == "insert" && argc == 4)
        insert(words[2], count);
    else if (what == "spool" && argc == 4)
        spool_events(words[2], count);
    else if (what == "open" && argc == 3)
        open_spool(words[2]);
    else
        return 2;
    return 0;
}
