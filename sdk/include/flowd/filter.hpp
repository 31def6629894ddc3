// SPDX-License-Identifier: Apache-2.0
// flowd/filter.hpp: the filter language of the command line, of REST and of the web page (docs/filters.md), for live flows,
// ended flows and events. A Filter is immutable: any thread.
//
//     auto filter = Filter::parse("experiment=atlas activity~transfer port=1094 age>1h", TagNames(host().registry()));
//     if (!filter) ...                                       // the error names word and column, and has a hint
//     flowd_flow_filter quick = filter->members();           // what the core can compare itself
//     flows.page(&quick, cursor, limit, [&](const flowd_flow& flow) { if (filter->matches(flow, now_ns)) ... });
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/address.hpp"
#include "flowd/nearest.hpp"
#include "flowd/number.hpp"
#include "flowd/printable.hpp"
#include "flowd/protocol.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd {

/// The names of experiments and activities, from flowd::Registry (by value) or from a pointer to anything with the same
/// functions, which outlives this object.
class TagNames {
  public:
    TagNames() = default;  ///< no names are known
    template <typename Names>
    explicit TagNames(Names names)
        : experiment_id_([names](std::string_view name) { return at(names).experiment_id(name); }),
          activity_id_([names](std::uint32_t id, std::string_view name) { return at(names).activity_id(id, name); }),
          experiment_name_([names](std::uint32_t id) { return at(names).experiment_name(id); }),
          activity_name_(
              [names](std::uint32_t experiment, std::uint32_t id) { return at(names).activity_name(experiment, id); }) {}

    [[nodiscard]] std::optional<std::uint32_t> experiment_id(std::string_view name) const {
        return experiment_id_ ? experiment_id_(name) : std::nullopt;
    }
    [[nodiscard]] std::optional<std::uint32_t> activity_id(std::uint32_t experiment, std::string_view name) const {
        return activity_id_ ? activity_id_(experiment, name) : std::nullopt;
    }
    [[nodiscard]] std::string_view experiment_name(std::uint32_t id) const {
        return experiment_name_ ? experiment_name_(id) : std::string_view();
    }
    [[nodiscard]] std::string_view activity_name(std::uint32_t experiment, std::uint32_t id) const {
        return activity_name_ ? activity_name_(experiment, id) : std::string_view();
    }

  private:
    template <typename Names>
    static const auto& at(const Names& names) {
        if constexpr (std::is_pointer_v<Names>)
            return *names;
        else
            return names;
    }
    std::function<std::optional<std::uint32_t>(std::string_view)> experiment_id_;
    std::function<std::optional<std::uint32_t>(std::uint32_t, std::string_view)> activity_id_;
    std::function<std::string_view(std::uint32_t)> experiment_name_;
    std::function<std::string_view(std::uint32_t, std::uint32_t)> activity_name_;
};

/// "announced", "idle", "age", "socket-gone", "sample-gone", "withdrawn"; "unknown" for all other values.
[[nodiscard]] inline std::string_view end_reason_name(std::uint32_t reason) {
    constexpr std::array<std::string_view, 7> names{"unknown",     "announced",   "idle",     "age",
                                                    "socket-gone", "sample-gone", "withdrawn"};
    return reason < names.size() ? names[reason] : names[0];
}

/// "start", "ongoing", "retag", "end", "refusal"; empty for an unknown kind.
[[nodiscard]] inline std::string_view observed_kind_name(std::uint32_t kind) {
    constexpr std::array<std::string_view, 6> names{"", "start", "ongoing", "retag", "end", "refusal"};
    return kind < names.size() ? names[kind] : names[0];
}

class Filter {
  public:
    static constexpr std::size_t max_bytes = 1024;
    static constexpr std::size_t max_terms = 32;
    enum class Of { flows, events };  ///< only events have the field `event`

    Filter() = default;  ///< matches everything

    /// FLOWD_INVALID: the message names the word and its column, the hint what is allowed.
    [[nodiscard]] static Result<Filter> parse(std::string_view text, TagNames names, Of of = Of::flows);

    [[nodiscard]] bool empty() const { return terms_.empty(); }

    /// `now_ns`: Unix time. The flow may be live or have ended.
    [[nodiscard]] bool matches(const flowd_flow& flow, std::int64_t now_ns) const {
        return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) { return holds(term, flow, now_ns); });
    }
    /// A refusal matches only terms for `event` and `plugin`.
    [[nodiscard]] bool matches(const flowd_observed& observed) const {
        return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
            if (term.field == Field::event) return compare(term, observed_kind_name(observed.kind));
            if (observed.flow != nullptr) return holds(term, *observed.flow, observed.time_ns);
            if (term.field != Field::plugin) return false;
            const std::string_view instance = to_view(observed.instance);
            return compare_instance(term, instance.substr(std::min(instance.find(' ') + 1, instance.size())));
        });
    }

    /// A filter for the core that no matching flow fails: pages with it are faster than without, but each flow has to be
    /// tested by matches() all the same. Borrows nothing.
    [[nodiscard]] flowd_flow_filter members() const {
        flowd_flow_filter filter{};
        filter.size = sizeof filter;
        for (const Term& term : terms_) {
            if (term.op != Op::equal) continue;
            const auto set = [&](std::uint32_t member) {
                const bool is_first = (filter.members & member) == 0;
                filter.members |= member;
                return is_first;
            };
            if (term.field == Field::experiment && term.is_number && set(FLOWD_FILTER_EXPERIMENT))
                filter.tag.experiment = static_cast<std::uint32_t>(term.number);
            if (term.field == Field::activity && term.is_number && set(FLOWD_FILTER_ACTIVITY))
                filter.tag.activity = static_cast<std::uint32_t>(term.number);
            if (term.field == Field::port && set(FLOWD_FILTER_PORT)) filter.port = static_cast<std::uint16_t>(term.number);
            if (term.field == Field::protocol && set(FLOWD_FILTER_PROTOCOL))
                filter.protocol = static_cast<std::uint8_t>(term.number);
            const bool is_network =
                term.field == Field::network || term.field == Field::source || term.field == Field::destination;
            if (is_network && set(FLOWD_FILTER_NETWORK)) {
                std::copy_n(term.network.address.bytes().begin(), 16, filter.network);
                filter.prefix_length = term.network.length;
            }
        }
        return filter;
    }

    /// The fields, for help texts and completion.
    [[nodiscard]] static std::vector<std::string> fields(Of of = Of::flows) {
        std::vector<std::string> names;
        for (const Description& one : descriptions)
            if (one.field != Field::event || of == Of::events) names.emplace_back(one.name);
        return names;
    }

  private:
    enum class Field : std::uint8_t {
        experiment,
        activity,
        network,
        source,
        destination,
        port,
        protocol,
        plugin,
        rule,
        application,
        marked,
        age,
        bytes,
        sent,
        received,
        id,
        end,
        event
    };
    enum class Op : std::uint8_t { equal, unequal, contains, lacks, greater, less, at_least, at_most };
    enum class Form : std::uint8_t { tag_name, network, number, size, duration, protocol, text, word };
    struct Description {
        std::string_view name;
        Field field;
        Form form;
        std::string_view words;  ///< of Form::word, separated by spaces
    };
    static constexpr std::array<Description, 18> descriptions{{
        {"experiment", Field::experiment, Form::tag_name, {}},
        {"activity", Field::activity, Form::tag_name, {}},
        {"network", Field::network, Form::network, {}},
        {"source", Field::source, Form::network, {}},
        {"destination", Field::destination, Form::network, {}},
        {"port", Field::port, Form::number, {}},
        {"protocol", Field::protocol, Form::protocol, {}},
        {"plugin", Field::plugin, Form::text, {}},
        {"rule", Field::rule, Form::text, {}},
        {"application", Field::application, Form::text, {}},
        {"marked", Field::marked, Form::word, "yes no"},
        {"age", Field::age, Form::duration, {}},
        {"bytes", Field::bytes, Form::size, {}},
        {"sent", Field::sent, Form::size, {}},
        {"received", Field::received, Form::size, {}},
        {"id", Field::id, Form::number, {}},
        {"end", Field::end, Form::word, "announced idle age socket-gone sample-gone withdrawn unknown"},
        {"event", Field::event, Form::word, "start ongoing retag end refusal"},
    }};
    struct Operator {
        std::string_view text;
        Op op;
    };
    /// A longer one before its prefix.
    static constexpr std::array<Operator, 8> operators{{{"!=", Op::unequal},
                                                        {"!~", Op::lacks},
                                                        {">=", Op::at_least},
                                                        {"<=", Op::at_most},
                                                        {"=", Op::equal},
                                                        {"~", Op::contains},
                                                        {">", Op::greater},
                                                        {"<", Op::less}}};

    struct Term {
        Field field{};
        Op op{};
        bool is_number = false;  ///< an experiment or activity by its number
        std::uint64_t number = 0;
        Network network{};
        std::string text;  ///< lower case
    };

    class Parser;

    [[nodiscard]] static bool is_negative(Op op) { return op == Op::unequal || op == Op::lacks; }
    [[nodiscard]] static bool compare(Op op, std::uint64_t value, std::uint64_t with) {
        switch (op) {
            case Op::greater:
                return value > with;
            case Op::less:
                return value < with;
            case Op::at_least:
                return value >= with;
            case Op::at_most:
                return value <= with;
            case Op::unequal:
            case Op::lacks:
                return value != with;
            case Op::equal:
            case Op::contains:
                break;
        }
        return value == with;
    }
    [[nodiscard]] static bool same_letter(char lower, char any) {
        return lower == (any >= 'A' && any <= 'Z' ? static_cast<char>(any - 'A' + 'a') : any);
    }
    /// Ignoring the case of ASCII letters.
    [[nodiscard]] static bool compare(const Term& term, std::string_view text) {
        if (term.op == Op::contains || term.op == Op::lacks) {
            const bool found = std::search(text.begin(), text.end(), term.text.begin(), term.text.end(),
                                           [](char any, char lower) { return same_letter(lower, any); }) != text.end() ||
                               term.text.empty();
            return found != is_negative(term.op);
        }
        const bool same = std::equal(term.text.begin(), term.text.end(), text.begin(), text.end(), same_letter);
        return same != is_negative(term.op);
    }
    /// "fireflyp" is any instance of fireflyp, "fireflyp/regional" that one.
    [[nodiscard]] static bool compare_instance(const Term& term, std::string_view name) {
        const bool is_whole = term.op == Op::contains || term.op == Op::lacks || term.text.find('/') != std::string::npos;
        return compare(term, is_whole ? name : name.substr(0, name.find('/')));
    }
    [[nodiscard]] static std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return a > ~b ? ~std::uint64_t{0} : a + b; }
    [[nodiscard]] static std::uint64_t age_of(const flowd_flow& flow, std::int64_t now_ns) {
        const std::int64_t until = flow.end_time_ns != 0 ? flow.end_time_ns : now_ns;
        return static_cast<std::uint64_t>(std::max<std::int64_t>(until - flow.start_time_ns, 0));
    }

    [[nodiscard]] bool holds(const Term& term, const flowd_flow& flow, std::int64_t now_ns) const {
        const auto end_in = [&](const std::uint8_t(&address)[16]) { return term.network.contains(Address(address)); };
        switch (term.field) {
            case Field::experiment:
                return term.is_number ? compare(term.op, flow.tag.experiment, term.number)
                                      : compare(term, names_.experiment_name(flow.tag.experiment));
            case Field::activity:
                return term.is_number ? compare(term.op, flow.tag.activity, term.number)
                                      : compare(term, names_.activity_name(flow.tag.experiment, flow.tag.activity));
            case Field::network:
                return (end_in(flow.key.source) || end_in(flow.key.destination)) != is_negative(term.op);
            case Field::source:
                return end_in(flow.key.source) != is_negative(term.op);
            case Field::destination:
                return end_in(flow.key.destination) != is_negative(term.op);
            case Field::port:
                if (is_negative(term.op))
                    return flow.key.source_port != term.number && flow.key.destination_port != term.number;
                return compare(term.op, flow.key.source_port, term.number) ||
                       compare(term.op, flow.key.destination_port, term.number);
            case Field::protocol:
                return compare(term.op, flow.key.protocol, term.number);
            case Field::plugin:
                return compare_instance(term, to_view(flow.announcer));
            case Field::rule:
                return compare(term, to_view(flow.rule));
            case Field::application:
                return compare(term, to_view(flow.application));
            case Field::marked:
                return compare(term, (flow.flags & FLOWD_MARKED) != 0 ? "yes" : "no");
            case Field::age:
                return compare(term.op, age_of(flow, now_ns), term.number);
            case Field::bytes:
                return compare(term.op, sum(flow.usage.bytes_sent, flow.usage.bytes_received), term.number);
            case Field::sent:
                return compare(term.op, flow.usage.bytes_sent, term.number);
            case Field::received:
                return compare(term.op, flow.usage.bytes_received, term.number);
            case Field::id:
                return compare(term.op, flow.flow_id, term.number);
            case Field::end:
                return flow.end_time_ns != 0 && compare(term, end_reason_name(flow.end_reason));
            case Field::event:
                break;
        }
        return false;
    }

    std::vector<Term> terms_;
    TagNames names_;
};

/// Parses one text. A column counts characters, from 1.
class Filter::Parser {
  public:
    Parser(std::string_view text, TagNames names, Of of) : text_(text), of_(of) { filter_.names_ = std::move(names); }

    [[nodiscard]] Result<Filter> parse() {
        if (text_.size() > max_bytes)
            return Error{FLOWD_INVALID, "the filter has " + std::to_string(text_.size()) + " bytes",
                         "the limit is " + std::to_string(max_bytes)};
        for (skip_spaces(); at_ < text_.size(); skip_spaces()) {
            if (filter_.terms_.size() == max_terms)
                return wrong(at_, word_at(at_), "is one term too many", "the limit is " + std::to_string(max_terms));
            if (auto done = parse_term(); !done) return std::move(done).error();
        }
        return std::move(filter_);
    }

  private:
    [[nodiscard]] static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
    void skip_spaces() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }
    [[nodiscard]] std::string_view word_at(std::size_t at) const {
        std::size_t end = at;
        while (end < text_.size() && !is_space(text_[end])) ++end;
        return text_.substr(at, end - at);
    }
    [[nodiscard]] Error wrong(std::size_t at, std::string_view word, std::string_view what, std::string hint) const {
        const auto column = 1 + std::count_if(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at),
                                              [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; });
        return Error{FLOWD_INVALID,
                     "column " + std::to_string(column) + ": \"" + printable(word) + "\" " + std::string(what),
                     std::move(hint)};
    }
    [[nodiscard]] static std::string with_nearest(std::string_view word, const std::vector<std::string>& allowed,
                                                  std::string_view what) {
        const std::string nearest = nearest_word(word, allowed);
        return (nearest.empty() ? std::string() : "did you mean " + nearest + "? ") + std::string(what) +
               join_words(allowed);
    }

    [[nodiscard]] Result<void> parse_term() {
        const std::size_t begin = at_;
        const std::string_view word = word_at(begin);
        const std::size_t length = std::min(word.find_first_of("=!~<>"), word.size());
        const std::string name = lower_case(word.substr(0, length));
        const auto* const known = std::find_if(descriptions.begin(), descriptions.end(), [&](const Description& one) {
            return one.name == name && (one.field != Field::event || of_ == Of::events);
        });
        if (known == descriptions.end())
            return wrong(begin, word.substr(0, length), length == word.size() ? "is not a term" : "is not a field",
                         with_nearest(name, fields(of_), "write FIELD=VALUE; the fields are "));
        const auto* const op = std::find_if(operators.begin(), operators.end(), [&](const Operator& one) {
            return word.substr(length, one.text.size()) == one.text;
        });
        if (op == operators.end() || !is_allowed(known->form, op->op))
            return wrong(begin + length, op == operators.end() ? word.substr(length) : op->text,
                         "is not an operator of " + name,
                         "the operators of " + name + " are " + allowed_operators(known->form));
        at_ = begin + length + op->text.size();
        const std::size_t value_at = at_;
        auto value = parse_value();
        if (!value) return std::move(value).error();
        Term term;
        term.field = known->field;
        term.op = op->op;
        if (std::string hint = interpret(*known, *value, term); !hint.empty())
            return wrong(value_at, *value, "is not a value of " + name, std::move(hint));
        filter_.terms_.push_back(std::move(term));
        return {};
    }

    /// Up to a space, or in double quotes, in which a backslash precedes a quote or a backslash.
    [[nodiscard]] Result<std::string> parse_value() {
        std::string value;
        if (at_ >= text_.size() || text_[at_] != '"') {
            value = word_at(at_);
            at_ += value.size();
            if (value.empty()) return wrong(at_, "", "is no value", "write \"\" for an empty text");
            return value;
        }
        const std::size_t begin = at_++;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size() && (text_[at_ + 1] == '"' || text_[at_ + 1] == '\\')) ++at_;
            value.push_back(text_[at_]);
        }
        if (at_ == text_.size()) return wrong(begin, text_.substr(begin), "has no closing quote", "add a \"");
        if (++at_ < text_.size() && !is_space(text_[at_]))
            return wrong(at_, word_at(at_), "follows a quoted value", "separate terms by a space");
        return value;
    }

    [[nodiscard]] static bool is_allowed(Form form, Op op) {
        if (op == Op::equal || op == Op::unequal) return true;
        const bool is_order = op == Op::greater || op == Op::less || op == Op::at_least || op == Op::at_most;
        if (form == Form::number || form == Form::size || form == Form::duration) return is_order;
        return (form == Form::tag_name || form == Form::text) && !is_order;
    }
    [[nodiscard]] static std::string allowed_operators(Form form) {
        std::vector<std::string> allowed;
        for (const std::string_view text : {"=", "!=", "~", "!~", ">", ">=", "<", "<="})
            for (const Operator& one : operators)
                if (one.text == text && is_allowed(form, one.op)) allowed.emplace_back(text);
        return join_words(allowed, "and");
    }

    /// Empty, or what is allowed.
    [[nodiscard]] std::string interpret(const Description& field, const std::string& value, Term& term) const {
        term.text = lower_case(value);
        switch (field.form) {
            case Form::tag_name:
                return interpret_tag(field.field, value, term);
            case Form::network: {
                const auto network = Network::parse(value);
                if (network) term.network = *network;
                return network ? "" : "write an address or a prefix without further bits: 192.0.2.0/24, 2001:db8::/32";
            }
            case Form::number: {
                const auto number = whole_number<std::uint64_t>(value);
                term.number = number.value_or(0);
                const bool is_port = field.field == Field::port;
                if (number && (!is_port || *number <= 65535)) return {};
                return is_port ? "write a number from 0 to 65535" : "write a number";
            }
            case Form::size:
                return scaled(value, size_units, term.number) ? "" : "write a number of bytes: 512, 10k, 1.5G, 2Ti";
            case Form::duration:
                return scaled(value, duration_units, term.number) ? "" : "write a number with a unit: 90s, 10m, 1.5h, 2d";
            case Form::protocol: {
                const auto protocol = parse_protocol(term.text);
                term.number = protocol.value_or(0);
                return protocol ? "" : "write tcp, udp, sctp, icmp, icmpv6 or a number up to 255";
            }
            case Form::word: {
                std::vector<std::string> words(1);
                for (const char c : field.words)
                    if (c == ' ')
                        words.emplace_back();
                    else
                        words.back().push_back(c);
                const bool is_known = std::find(words.begin(), words.end(), term.text) != words.end();
                return is_known ? "" : with_nearest(term.text, words, "write ");
            }
            case Form::text:
                break;
        }
        return {};
    }

    [[nodiscard]] std::string interpret_tag(Field field, const std::string& value, Term& term) const {
        if (term.op == Op::contains || term.op == Op::lacks) return {};
        auto id = whole_number<std::uint64_t>(value);
        if (id && *id > 0xffff'ffff) return "write a name of the registry, or a number up to 4294967295";
        if (!id && field == Field::experiment) {
            id = filter_.names_.experiment_id(value);
            if (!id) return "write a number, or a name that flowd-cpp registry list shows";
        }
        if (!id) {  // the number of an activity depends on the experiment
            for (const Term& other : filter_.terms_) {
                if (other.field != Field::experiment || other.op != Op::equal) continue;
                id = filter_.names_.activity_id(static_cast<std::uint32_t>(other.number), value);
                if (!id) return "write a number, or a name that flowd-cpp registry show shows for this experiment";
            }
        }
        term.is_number = id.has_value();
        term.number = id.value_or(0);
        return {};
    }

    struct Unit {
        std::string_view name;
        std::uint64_t factor;
    };
    static constexpr std::array<Unit, 6> duration_units{{{"ms", 1'000'000},
                                                         {"s", 1'000'000'000},
                                                         {"m", 60'000'000'000},
                                                         {"min", 60'000'000'000},
                                                         {"h", 3'600'000'000'000},
                                                         {"d", 86'400'000'000'000}}};
    static constexpr std::array<Unit, 11> size_units{{{"", 1},
                                                      {"k", 1'000},
                                                      {"m", 1'000'000},
                                                      {"g", 1'000'000'000},
                                                      {"t", 1'000'000'000'000},
                                                      {"p", 1'000'000'000'000'000},
                                                      {"ki", 1ull << 10},
                                                      {"mi", 1ull << 20},
                                                      {"gi", 1ull << 30},
                                                      {"ti", 1ull << 40},
                                                      {"pi", 1ull << 50}}};
    /// "1.5G": digits, possibly a fraction, and a unit, in any case. Sizes may end in B.
    template <std::size_t N>
    [[nodiscard]] static bool scaled(std::string_view text, const std::array<Unit, N>& units, std::uint64_t& out) {
        const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
        std::size_t end = digits;
        if (digits < text.size() && text[digits] == '.')
            end = std::min(text.find_first_not_of("0123456789", digits + 1), text.size());
        const auto number = whole_number<std::uint64_t>(text.substr(0, digits));
        std::string name = lower_case(text.substr(end));
        if (units[0].name.empty() && !name.empty() && name.back() == 'b') name.pop_back();
        const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& one) { return one.name == name; });
        if (!number || unit == units.end() || end == digits + 1) return false;
        if (__builtin_mul_overflow(*number, unit->factor, &out)) return false;
        std::uint64_t factor = unit->factor;
        for (std::size_t i = digits + 1; i < end; ++i) {
            factor /= 10;
            if (__builtin_add_overflow(out, factor * static_cast<std::uint64_t>(text[i] - '0'), &out)) return false;
        }
        return true;
    }

    std::string_view text_;
    Of of_;
    std::size_t at_ = 0;
    Filter filter_;
};

inline Result<Filter> Filter::parse(std::string_view text, TagNames names, Of of) {
    return Parser(text, std::move(names), of).parse();
}

}  // namespace flowd
