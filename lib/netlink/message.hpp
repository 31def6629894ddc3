// SPDX-License-Identifier: Apache-2.0
// lib/netlink/message.hpp: reads netlink messages and their attributes (netlink(7)), of which no length is trusted, and
// writes small requests. Pure functions.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "flowd/result.hpp"

namespace flowd::nl {

/// Borrows from its message.
class Attribute {
  public:
    explicit Attribute(const nlattr& raw) : raw_(&raw) {}

    [[nodiscard]] unsigned type() const { return raw_->nla_type & NLA_TYPE_MASK; }
    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {reinterpret_cast<const std::byte*>(raw_) + NLA_HDRLEN, raw_->nla_len - std::size_t{NLA_HDRLEN}};
    }
    /// Up to the first NUL.
    [[nodiscard]] std::string_view text() const {
        const std::string_view all(reinterpret_cast<const char*>(bytes().data()), bytes().size());
        return all.substr(0, all.find('\0'));
    }
    /// Nothing if the attribute is shorter.
    template <typename T>
    [[nodiscard]] std::optional<T> number() const {
        T value{};
        if (bytes().size() < sizeof value) return std::nullopt;
        std::memcpy(&value, bytes().data(), sizeof value);
        return value;
    }

  private:
    const nlattr* raw_;
};

/// `bytes` are aligned as in a message. False: they do not end with an attribute. Without calls to libmnl, because a dump
/// of sockets has a million of them.
template <typename Visit>
bool for_each_attribute(std::span<const std::byte> bytes, Visit&& visit) {
    while (bytes.size() >= sizeof(nlattr)) {
        const auto& attribute = *reinterpret_cast<const nlattr*>(bytes.data());
        if (attribute.nla_len < sizeof(nlattr) || attribute.nla_len > bytes.size()) return false;
        visit(Attribute(attribute));
        bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(attribute.nla_len), bytes.size()));
    }
    return true;
}

/// Borrows from the buffer that it was received in.
class Message {
  public:
    explicit Message(const nlmsghdr& header) : header_(&header) {}

    [[nodiscard]] std::uint16_t type() const { return header_->nlmsg_type; }
    [[nodiscard]] std::uint16_t flags() const { return header_->nlmsg_flags; }
    [[nodiscard]] std::uint32_t sequence() const { return header_->nlmsg_seq; }
    [[nodiscard]] std::span<const std::byte> payload() const {
        return {static_cast<const std::byte*>(mnl_nlmsg_get_payload(header_)), mnl_nlmsg_get_payload_len(header_)};
    }
    /// The structure that the payload begins with; null: the message is shorter.
    template <typename T>
    [[nodiscard]] const T* body() const {
        return payload().size() < sizeof(T) ? nullptr : reinterpret_cast<const T*>(payload().data());
    }
    /// Visits the attributes that follow `body_size` bytes of payload.
    template <typename Visit>
    bool attributes(std::size_t body_size, Visit&& visit) const {
        return for_each_attribute(payload().subspan(std::min<std::size_t>(NLMSG_ALIGN(body_size), payload().size())),
                                  std::forward<Visit>(visit));
    }
    /// For NLMSG_ERROR, and for NLMSG_DONE of a failed dump: the error, with the text that the kernel adds to it
    /// (NETLINK_EXT_ACK). Empty for other messages, and if there was no error.
    [[nodiscard]] std::optional<Error> error() const;

  private:
    const nlmsghdr* header_;
};

template <typename Visit>
void for_each_message(std::span<const std::byte> datagram, Visit&& visit) {
    auto left = static_cast<int>(datagram.size());
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data()); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left))
        visit(Message(*header));
}

/// A request that changes something, with its attributes. The caller adds no more than fits.
class Change {
  public:
    /// `flags`: NLM_F_CREATE and the like.
    template <typename Body>
    Change(std::uint16_t type, std::uint16_t flags, const Body& body) {
        static_assert(std::is_trivially_copyable_v<Body> && sizeof(Body) <= 128);
        nlmsghdr* const header = mnl_nlmsg_put_header(bytes_.data());
        header->nlmsg_type = type;
        header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof body), &body, sizeof body);
    }

    Change& put(std::uint16_t attribute, std::uint32_t number) {
        mnl_attr_put_u32(&header(), attribute, number);
        return *this;
    }
    Change& put(std::uint16_t attribute, const std::string& text) {
        mnl_attr_put_strz(&header(), attribute, text.c_str());
        return *this;
    }
    /// Calls fill(*this): what it puts is within the attribute.
    template <typename Fill>
    Change& nest(std::uint16_t attribute, Fill&& fill) {
        nlattr* const outer = mnl_attr_nest_start(&header(), attribute);
        fill(*this);
        mnl_attr_nest_end(&header(), outer);
        return *this;
    }

    [[nodiscard]] nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes_.data()); }

  private:
    alignas(nlmsghdr) std::array<std::byte, 512> bytes_{};
};

}  // namespace flowd::nl
