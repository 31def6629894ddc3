// SPDX-License-Identifier: Apache-2.0
// The record of a flow event. Belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/event.hpp"
#include "lib/firefly/composer.hpp"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::kafka {

struct Record {
    std::string key;
    std::string value;
    /// The brokers may have this record already.
    void flag_redelivered();
};

/// Why an event gives no record. Appended to, never reordered: values of a metric's label.
enum class Skip : std::uint8_t { protocol, port, address, hops, read, too_large, none };
inline constexpr std::array<std::string_view, 6> skip_names{"protocol", "port", "address", "hops", "read", "too_large"};

/// The fingerprint of the reference collector: HMAC-SHA256 over the 5-tuple as text, in hexadecimal digits.
class Fingerprint {
  public:
    Fingerprint();
    Fingerprint(const Fingerprint&) = delete;
    Fingerprint& operator=(const Fingerprint&) = delete;
    ~Fingerprint();

    /// Valid until the next call. Empty: the library failed.
    [[nodiscard]] std::string_view of(const flowd_key& key);

  private:
    struct State;  // keeps OpenSSL out of this header
    std::unique_ptr<State> state_;
    std::string text_;
    std::array<char, 64> digits_{};
};

/// "192.0.2.1|1094|192.0.2.2|2000|tcp": the lower endpoint first, so that both directions of a flow have one key, and with
/// it one partition.
[[nodiscard]] std::string record_key(const flowd_key& key);

/// Members of a record that are not of its firefly.
[[nodiscard]] bool is_own_member(std::string_view name);

/// Id of the attachment of an event whose record was read again, or was flagged as redelivered.
inline constexpr std::string_view redelivered_attachment = "flowd.kafka.redelivered/1";

/// A line of firefly::Provenance::receivers that says that an event was read from this topic. `cluster`: its id or brokers.
[[nodiscard]] std::string source_name(const std::string& cluster, const std::string& topic);

class RecordWriter {
  public:
    struct Options {
        std::string host;         ///< in the header of a firefly that is printed here
        std::string application;  ///< for events without one
        firefly::Verbosity verbosity = firefly::Verbosity::lean;
        std::vector<std::string> sources;  ///< names of the topic: events that were read from it are not written
        std::size_t max_size = 1'000'000;
    };
    explicit RecordWriter(Options options);

    /// Takes effect with the next write(). The numbers continue.
    void use(Options options);
    void add_source(std::string name) { options_.sources.push_back(std::move(name)); }
    /// The parsed objects of the firefly, `message` and `flow_fingerprint`. The caller has checked the kind. Nothing: see
    /// why().
    [[nodiscard]] std::optional<Record> write(const EventView& event, std::int64_t now_ns);
    [[nodiscard]] Skip why() const { return why_; }
    [[nodiscard]] const firefly::Composer& composer() const { return composer_; }

  private:
    [[nodiscard]] std::nullopt_t skip(Skip reason) {
        why_ = reason;
        return std::nullopt;
    }

    Options options_;
    firefly::Composer composer_;
    std::int64_t since_ns_ = unix_time_ns();
    std::uint64_t boot_ = firefly::this_boot();
    firefly::Stream stream_{boot_};
    Fingerprint fingerprint_;
    std::string numbered_, value_;
    Skip why_ = Skip::none;
};

}  // namespace flowd::kafka
