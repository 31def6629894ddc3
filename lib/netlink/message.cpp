// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.hpp"

#include <string>

namespace flowd::nl {

std::optional<Error> Message::error() const {
    int number = 0;
    std::size_t before_attributes = sizeof number;
    if (type() == NLMSG_ERROR) {
        const auto* const refusal = body<nlmsgerr>();
        if (refusal == nullptr) return Error{FLOWD_ERROR, "netlink: short error"};
        number = refusal->error;
        // The request follows, unless the kernel left it out.
        before_attributes = sizeof *refusal;
        if ((flags() & NLM_F_CAPPED) == 0 && refusal->msg.nlmsg_len > sizeof refusal->msg)
            before_attributes += refusal->msg.nlmsg_len - sizeof refusal->msg;
    } else if (type() == NLMSG_DONE) {
        if (const int* const status = body<int>()) number = *status;
    }
    if (number >= 0) return std::nullopt;
    Error error = Error::from_errno(-number, "netlink");
    if ((flags() & NLM_F_ACK_TLVS) != 0)
        attributes(before_attributes, [&error](const Attribute& attribute) {
            if (attribute.type() == NLMSGERR_ATTR_MSG) error.message += " (" + std::string(attribute.text()) + ")";
        });
    return error;
}

}  // namespace flowd::nl
