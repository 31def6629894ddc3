// SPDX-License-Identifier: Apache-2.0
// The spool of the kafka backend: when records go through it, and how they come back.
#include <unistd.h>

#include <utility>

#include "backends/kafka/kafka.hpp"
#include "flowd/json.hpp"

namespace flowd::kafka {
namespace {

/// What is loaded at a time: each costs one synchronisation of the disk.
constexpr std::size_t load_records = 4096, load_bytes = std::size_t{4} << 20;

/// Records that the brokers have are removed in groups of so many, and when there are no more.
constexpr std::int64_t remove_records = 4096;

}  // namespace

Result<void> KafkaBackend::open_spool() {
    if (!options_.spool || spool_) return {};
    auto opened = spool::Spool::open(options_.spool->path, options_.spool->max_bytes);
    if (!opened) {
        spool_unusable_.begin(opened.error().message);
        // On a reload, the predecessor of this instance has it until it has stopped.
        if (opened.error().code == FLOWD_BUSY && spool::owner_of(options_.spool->path) == ::getpid()) return {};
        return std::move(opened).error();
    }
    spool_unusable_.end();
    spool_ = std::move(*opened);
    if (!spool_->moved_aside().empty()) {
        host().error(spool_->moved_aside());
        spool_aside_.begin(spool_->moved_aside());
    }
    handed_before_ = spool_->handed();
    spooling_ = spool_->records() > 0;
    if (!spooling_) loaded_ = removed_ = spool_->last();
    if (spooling_) host().info("the spool has " + std::to_string(spool_->records()) + " records");
    return {};
}

bool KafkaBackend::append(Record record) {
    switch (spool_->append(std::move(record.key), std::move(record.value))) {
        case spool::Spool::Appended::yes:
            return true;
        case spool::Spool::Appended::full:
            note_spool_full("it has " + std::to_string(spool_->bytes()) + " bytes");
            return false;
        default:
            note_spool_full("it cannot be written");
            return false;
    }
}

void KafkaBackend::note_spool_full(const std::string& why) {
    if (!spool_full_.lasts()) {
        ++spool_full_count_;
        host().error("the spool takes no more records: " + why);
    }
    spool_full_.begin(why);
}

bool KafkaBackend::begin_spooling() {
    if (spool_full_.lasts()) return false;
    spooling_ = pipeline_.spill([this](const Record& record, std::int64_t& id) {
        if (!append(record)) return false;
        id = loaded_ = spool_->last();
        return true;
    });
    // The brokers may get what the client has even if this process ends now.
    if (pipeline_.flying() > 0) spool_->note_handed(loaded_);
    return spooling_;
}

bool KafkaBackend::commit_spool() {
    auto done = spool_->commit();
    if (!done && done.error().code == FLOWD_INVALID) {
        replace_spool("is damaged: " + done.error().message);
        done = spool_->commit();
    }
    if (!done) {
        note_spool_full(done.error().message);
        return false;
    }
    if (spooling_) pipeline_.settle_all();
    return true;
}

void KafkaBackend::replace_spool(const std::string& why) {
    const std::uint64_t lost = spool_->records_behind(loaded_);
    if (auto replaced = spool_->replace(why); !replaced)
        return spool_unusable_.begin("the spool " + options_.spool->path + " " + replaced.error().message);
    give_up(GivenUp::damaged, lost);
    host().error(spool_->moved_aside() + "; " + std::to_string(lost) + " records were given up");
    spool_aside_.begin(spool_->moved_aside());
}

void KafkaBackend::turn_spool() {
    if (!spool_) return;
    // When the brokers become unreachable, the records in memory are spooled: they survive this process.
    if (!spooling_ && is_stuck()) (void)begin_spooling();
    const std::int64_t done = pipeline_.spool_done();
    if (done > removed_ && (done - removed_ >= remove_records || done == loaded_)) {
        spool_->remove_through(done);
        removed_ = done;
    }
    // While the disk is full, records of the spool are still sent. After a crash they are sent again, without the flag.
    if (commit_spool() && spool_->bytes() <= spool_->max_bytes() / 4 * 3) spool_full_.end();
    // Not before a broker has answered: records that the client has had are flagged as redelivered after a crash.
    while (spooling_ && client_ && ever_connected_ && !is_stuck() && pipeline_.is_half_empty()) {
        auto items = spool_->read(loaded_, load_records, load_bytes);
        if (!items && items.error().code == FLOWD_INVALID) return replace_spool("is damaged: " + items.error().message);
        if (!items) return spool_unusable_.begin("it cannot be read: " + items.error().message);
        spool_unusable_.end();
        if (items->empty()) {
            // The next records bypass the spool.
            spooling_ = spool_->has_pending();
            return;
        }
        // Durable before the client has them.
        loaded_ = items->back().id;
        spool_->note_handed(loaded_);
        (void)commit_spool();
        for (spool::Item& item : *items) {
            Record record{std::move(item.key), std::move(item.value)};
            if (item.id <= handed_before_) {
                ++redelivered_;
                record.flag_redelivered();
            }
            pipeline_.add_spooled(std::move(record), item.id);
        }
    }
}

bool KafkaBackend::is_stuck() const {
    return is_unreachable() || authentication_.lasts() || topic_missing_.lasts();
}

bool KafkaBackend::has_much_room() const {
    return spooling_ ? !spool_full_.lasts() : pipeline_.has_much_room();
}

const Table<SpoolToolOptions>& SpoolToolOptions::table() {
    using O = SpoolToolOptions;
    static const Table<O> table{
        option("path", &O::path).path().doc("File of the spool; default: that of the configuration.")};
    return table;
}

Result<void> show_spool(SpoolToolOptions options, ToolCall& call) {
    if (options.path.empty()) {
        auto configured = call.config<KafkaOptions>();
        if (!configured) return std::move(configured).error();
        if (*configured && (*configured)->spool) options.path = (*configured)->spool->path;
    }
    if (options.path.empty())
        return Error{FLOWD_NOT_FOUND, "no spool is named, and the configuration has none", "name one: --path FILE"};
    auto spool = spool::Spool::look(options.path);
    if (!spool) return Error{FLOWD_ERROR, "the spool " + options.path + " " + spool.error().message};
    std::string text;
    json::Writer writer(text);
    writer.object().member("path", options.path).member("records", (*spool)->records()).member("bytes", (*spool)->bytes());
    writer.member("lastId", (*spool)->last()).member("handedThrough", (*spool)->handed());
    writer.member("owner", spool::owner_of(options.path)).end();
    call.print(text);
    return {};
}

}  // namespace flowd::kafka
