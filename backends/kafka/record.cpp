// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/record.hpp"

#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "flowd/address.hpp"
#include "flowd/json.hpp"
#include "lib/firefly/address_text.hpp"
#include "lib/firefly/event.hpp"
#include "lib/firefly/provenance.hpp"

namespace flowd::kafka {
namespace {

/// `key` of the collector's fingerprint filter (its file 02-parsing.conf).
constexpr std::string_view fingerprint_key = "create flowid";

constexpr std::array<std::string_view, 3> own_members{"message", "flow_fingerprint", "redelivered"};

/// As json::Writer, which copies what is between two characters to escape: in a datagram, which is JSON, those are few
/// bytes each. No branch depends on the text.
void append_text(std::string& out, std::string_view text) {
    const std::size_t begin = out.size();
    out.resize(begin + 2 * text.size() + 2);
    char* at = out.data() + begin;
    *at++ = '"';
    unsigned special = 0;
    for (const char c : text) {
        special |= static_cast<unsigned>(static_cast<unsigned char>(c - ' ') > '~' - ' ');
        const std::size_t escaped = static_cast<std::size_t>(c == '"') | static_cast<std::size_t>(c == '\\');
        at[0] = '\\';
        at[escaped] = c;
        at += 1 + escaped;
    }
    *at++ = '"';
    out.resize(special != 0 ? begin : static_cast<std::size_t>(at - out.data()));
    if (special != 0) json::Writer(out).value(text);
}

[[nodiscard]] std::string_view name_of_protocol(const flowd_key& key) {
    return key.protocol == IPPROTO_TCP ? "tcp" : "udp";
}

}  // namespace

struct Fingerprint::State {
    struct Deleter {
        void operator()(EVP_MAC* one) const { EVP_MAC_free(one); }
        void operator()(EVP_MAC_CTX* one) const { EVP_MAC_CTX_free(one); }
    };
    std::unique_ptr<EVP_MAC, Deleter> mac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
    std::unique_ptr<EVP_MAC_CTX, Deleter> context{mac ? EVP_MAC_CTX_new(mac.get()) : nullptr};
    bool usable = false;
};

Fingerprint::Fingerprint() : state_(std::make_unique<State>()) {
    if (!state_->context) return;
    std::string digest = "SHA256";
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size()), OSSL_PARAM_construct_end()};
    state_->usable = EVP_MAC_init(state_->context.get(), reinterpret_cast<const unsigned char*>(fingerprint_key.data()),
                                  fingerprint_key.size(), parameters.data()) == 1;
}

Fingerprint::~Fingerprint() = default;

std::string_view Fingerprint::of(const flowd_key& key) {
    if (!state_->usable) return {};
    const auto add = [this](std::string_view name, std::string_view value) {
        text_.append("|[flow-id][").append(name).append("]|").append(value);
    };
    std::array<char, INET6_ADDRSTRLEN> address{};
    text_.clear();
    add("dst-ip", firefly::print_address(Address(key.destination), address));
    add("dst-port", std::to_string(key.destination_port));
    add("protocol", name_of_protocol(key));
    add("src-ip", firefly::print_address(Address(key.source), address));
    add("src-port", std::to_string(key.source_port));
    text_.push_back('|');
    std::array<unsigned char, 32> digest{};
    std::size_t length = 0;
    EVP_MAC_CTX* const context = state_->context.get();
    // Without a key, the one of the constructor is used again.
    if (EVP_MAC_init(context, nullptr, 0, nullptr) != 1 ||
        EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text_.data()), text_.size()) != 1 ||
        EVP_MAC_final(context, digest.data(), &length, digest.size()) != 1 || length != digest.size())
        return {};
    constexpr std::string_view hexadecimal = "0123456789abcdef";
    for (std::size_t i = 0; i < digest.size(); ++i) {
        digits_[2 * i] = hexadecimal[digest[i] >> 4u];
        digits_[2 * i + 1] = hexadecimal[digest[i] & 15u];
    }
    return {digits_.data(), digits_.size()};
}

std::string record_key(const flowd_key& key) {
    const Address source(key.source), destination(key.destination);
    const bool turn = std::tie(destination.bytes(), key.destination_port) < std::tie(source.bytes(), key.source_port);
    std::array<char, INET6_ADDRSTRLEN> text{};
    std::string out;
    out.reserve(2 * INET6_ADDRSTRLEN);
    for (const bool second : {false, true}) {
        const bool is_source = second == turn;
        out.append(firefly::print_address(is_source ? source : destination, text)).push_back('|');
        out.append(std::to_string(is_source ? key.source_port : key.destination_port)).push_back('|');
    }
    return out.append(name_of_protocol(key));
}

void Record::flag_redelivered() {
    constexpr std::string_view flag = R"(,"redelivered":true})";
    if (!value.ends_with(flag)) value.replace(value.size() - 1, 1, flag);
}

bool is_own_member(std::string_view name) {
    return std::find(own_members.begin(), own_members.end(), name) != own_members.end();
}

std::string source_name(const std::string& cluster, const std::string& topic) {
    return "kafka:" + cluster + "/" + topic;
}

RecordWriter::RecordWriter(Options options)
    : options_(std::move(options)), composer_({options_.host, options_.application}, options_.verbosity, {}) {
    composer_.reserve({own_members.begin(), own_members.end()});
}

void RecordWriter::use(Options options) {
    options_ = std::move(options);
    composer_.use(options_.verbosity, {});
}

std::optional<Record> RecordWriter::write(const EventView& event, std::int64_t now_ns) {
    switch (firefly::printable(*event)) {
        case firefly::Printable::yes:
            break;
        case firefly::Printable::port:
            return skip(Skip::port);
        case firefly::Printable::address:
            return skip(Skip::address);
        default:
            return skip(Skip::protocol);
    }
    const auto from = firefly::parse_provenance(event.attachment(firefly::provenance_attachment));
    const bool is_read = from && std::any_of(options_.sources.begin(), options_.sources.end(), [&](const auto& source) {
                             return firefly::names_receiver(from->receivers, source);
                         });
    if (is_read) return skip(Skip::read);
    const bool remote = from && event.has(FLOWD_LEARNT_REMOTELY);
    const firefly::Path path = remote ? firefly::Path{from->path.origin, from->path.hops + 1} : firefly::Path{boot_, 0};
    const std::string_view original = event.attachment(FLOWD_ATTACHMENT_DATAGRAM);
    if (original.empty() && path.hops > firefly::max_hops) return skip(Skip::hops);

    composer_.begin(event, now_ns, 0);
    const std::string_view printed = composer_.print({true, options_.max_size});
    const std::string_view objects = printed.substr(std::min(printed.find('{'), printed.size()));
    const std::string_view fingerprint = fingerprint_.of(event->key);
    if (objects.empty() || fingerprint.empty()) return skip(Skip::too_large);
    std::string& value = value_;
    value.assign(objects.substr(0, objects.size() - 1)).append(R"(,"message":)");
    if (original.empty()) {
        numbered_.clear();
        (void)stream_.number(numbered_, printed, path, options_.max_size);
    }
    append_text(value, original.empty() ? std::string_view(numbered_) : original);
    value.append(R"(,"flow_fingerprint":")").append(fingerprint).append("\"}");
    // A copy has no spare room: the queue counts sizes, not capacities.
    Record record{record_key(event->key), value};
    if (record.key.size() + value.size() > options_.max_size) return skip(Skip::too_large);
    // Another instance, with another name or before a reload, may have written the start.
    const bool is_repeated = event.is_start() && event.has(FLOWD_RESYNC) && event->start_time_ns < since_ns_;
    if (is_repeated || !event.attachment(redelivered_attachment).empty()) record.flag_redelivered();
    return record;
}

}  // namespace flowd::kafka
