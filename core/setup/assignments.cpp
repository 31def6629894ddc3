// SPDX-License-Identifier: Apache-2.0
// Parses flowd.cfg: NAME = literal, one per line; lists and tuples may span lines. flowd executes the file as Python.
#include <cctype>
#include <optional>

#include "core/setup/migration.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t max_list_depth = 8;

class AssignmentReader {
  public:
    AssignmentReader(std::string_view text, std::string file) : rest_(text), file_(std::move(file)) {}

    Result<YamlNode> read() {
        YamlNode root;
        root.kind = YamlNode::Kind::map;
        for (;;) {
            skip(true);
            if (rest_.empty()) return root;
            const Location where{file_, line_, 1};
            std::string name;
            while (!rest_.empty() && (std::isalnum(static_cast<unsigned char>(rest_[0])) != 0 || rest_[0] == '_'))
                name.push_back(take());
            skip(false);
            if (name.empty() || rest_.empty() || rest_[0] != '=') return refuse();
            take();
            auto value = literal(0);
            if (!value) return refuse();
            skip(false);
            if (!rest_.empty() && rest_[0] != '\n' && rest_[0] != ';') return refuse();
            if (!rest_.empty()) take();
            value->where = where;
            std::erase_if(root.entries,
                          [&](const YamlNode::Entry& one) { return one.key == name; });  // the last assignment counts
            root.entries.push_back({name, where, std::move(*value)});
        }
    }

  private:
    char take() {
        const char c = rest_[0];
        rest_.remove_prefix(1);
        if (c == '\n') ++line_;
        return c;
    }
    void skip(bool lines) {
        while (!rest_.empty()) {
            if (rest_[0] == '#')
                while (!rest_.empty() && rest_[0] != '\n') take();
            else if (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r' || (lines && rest_[0] == '\n'))
                take();
            else
                return;
        }
    }
    [[nodiscard]] Error refuse() const {
        return Error{FLOWD_INVALID, file_ + ":" + std::to_string(line_) + ": not a plain value",
                     "write NAME = value, the value a text in quotes, a number, True, False, None, or a list of these"};
    }

    std::optional<YamlNode> literal(std::size_t depth) {
        skip(depth > 0);
        if (rest_.empty() || depth > max_list_depth) return std::nullopt;
        YamlNode node;
        if (rest_[0] == '(' || rest_[0] == '[') return sequence(depth);
        if (rest_[0] == '\'' || rest_[0] == '"') {
            const char quote = take();
            while (!rest_.empty() && rest_[0] != quote) {
                const auto c = static_cast<unsigned char>(rest_[0]);
                if ((c < ' ' && c != '\t') || c == '\\') return std::nullopt;
                node.text.push_back(take());
            }
            if (rest_.empty()) return std::nullopt;
            take();
            node.quoted = true;
        } else {
            while (!rest_.empty() &&
                   (std::isalnum(static_cast<unsigned char>(rest_[0])) != 0 || rest_[0] == '.' || rest_[0] == '-'))
                node.text.push_back(take());
            const bool number = node.text.find_first_not_of("0123456789.-") == std::string::npos;
            if (node.text.empty() || (!number && node.text != "True" && node.text != "False" && node.text != "None"))
                return std::nullopt;
            if (node.text == "None") return YamlNode{};
            if (!number) node.text = node.text == "True" ? "true" : "false";
        }
        node.kind = YamlNode::Kind::scalar;
        return node;
    }

    /// Parentheses around one value without a comma are not a tuple.
    std::optional<YamlNode> sequence(std::size_t depth) {
        const char close = take() == '(' ? ')' : ']';
        YamlNode node;
        node.kind = YamlNode::Kind::sequence;
        bool comma = close == ']';
        for (;;) {
            skip(true);
            if (rest_.empty()) return std::nullopt;
            if (rest_[0] == close) break;
            auto item = literal(depth + 1);
            if (!item) return std::nullopt;
            node.items.push_back(std::move(*item));
            skip(true);
            if (!rest_.empty() && rest_[0] == ',') {
                take();
                comma = true;
            } else if (rest_.empty() || rest_[0] != close) {
                return std::nullopt;
            }
        }
        take();
        if (!comma && node.items.size() == 1) return YamlNode(std::move(node.items.front()));
        return node;
    }

    std::string_view rest_;
    std::string file_;
    unsigned line_ = 1;
};

}  // namespace

Result<YamlNode> read_assignments(std::string_view text, const std::string& file) {
    return AssignmentReader(text, file).read();
}

}  // namespace flowd::core
