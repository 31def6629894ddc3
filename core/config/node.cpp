// SPDX-License-Identifier: Apache-2.0
#include "core/config/node.hpp"

#include <simdjson.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

namespace flowd::core {

namespace {

constexpr std::size_t max_depth = 32;
constexpr std::size_t max_nodes = 100'000;

std::size_t count_nodes(const YamlNode& node) {
    std::size_t count = 1;
    for (const auto& entry : node.entries) count += count_nodes(entry.value);
    for (const auto& item : node.items) count += count_nodes(item);
    return count;
}

/// Builds a YamlNode from yaml-cpp's events. Unrecoverable errors are thrown as YAML::ParserException.
class Builder final : public YAML::EventHandler {
  public:
    Builder(std::string file, Problems& problems) : file_(std::move(file)), problems_(problems) {}

    [[nodiscard]] bool has_document() const { return documents_ > 0; }
    [[nodiscard]] YamlNode take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) throw YAML::ParserException(mark, "a second document begins here: one file holds one");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        YamlNode node;
        node.where = place(mark);
        complete(std::move(node), anchor, mark);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) throw YAML::ParserException(mark, "an alias inside of what it stands for");
        nodes_ += count_nodes(found->second);
        complete(found->second, YAML::NullAnchor, mark);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        if (value.find('\0') != std::string::npos) throw YAML::ParserException(mark, "a NUL character is not allowed");
        YamlNode node;
        node.kind = YamlNode::Kind::scalar;
        node.quoted = tag != "?" && !tag.empty();  // yaml-cpp: "?" is plain, "!" is quoted, others are explicit tags
        node.text = value;
        node.where = place(mark);
        complete(std::move(node), anchor, mark);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::sequence, mark, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::map, mark, anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        YamlNode node;
        YAML::anchor_t anchor = YAML::NullAnchor;
        YAML::Mark mark;
        std::optional<YamlNode> key = std::nullopt;
    };

    [[nodiscard]] Location place(const YAML::Mark& mark) const {
        if (mark.is_null()) return {file_, 0, 0};
        return {file_, static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1};
    }
    void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (stack_.size() >= max_depth) throw YAML::ParserException(mark, "nested too deeply");
        YamlNode node;
        node.kind = kind;
        node.where = place(mark);
        stack_.push_back(Open{std::move(node), anchor, mark});
    }
    void close() {
        Open top = std::move(stack_.back());
        stack_.pop_back();
        complete(std::move(top.node), top.anchor, top.mark);
    }
    void complete(YamlNode node, YAML::anchor_t anchor, const YAML::Mark& mark) {
        if (++nodes_ > max_nodes) throw YAML::ParserException(mark, "too large");
        if (anchor != YAML::NullAnchor) {
            nodes_ += count_nodes(node);
            if (nodes_ > max_nodes) throw YAML::ParserException(mark, "too large");
            anchors_[anchor] = node;
        }
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& parent = stack_.back();
        if (parent.node.kind == YamlNode::Kind::sequence) {
            parent.node.items.push_back(std::move(node));
        } else if (!parent.key) {
            if (node.kind != YamlNode::Kind::scalar) throw YAML::ParserException(mark, "a key must be a scalar");
            parent.key = std::move(node);
        } else {
            add_entry(parent, std::move(node));
        }
    }
    void add_entry(Open& parent, YamlNode value) {
        YamlNode key = std::move(*parent.key);
        parent.key.reset();
        // yaml-cpp places an empty value at the token that follows it.
        if (value.kind == YamlNode::Kind::null) value.where = key.where;
        if (key.text == "<<" && !key.quoted) {
            Problem problem;
            problem.where = key.where;
            problem.path = path_of(key.text);
            problem.message = "merge keys are not supported";
            problem.hint = "write the keys themselves; an alias (*name) can stand for a whole value only";
            problems_.add(std::move(problem));
            return;
        }
        if (const YamlNode::Entry* first = parent.node.find(key.text)) {
            Problem problem;
            problem.where = key.where;
            problem.path = path_of(key.text);
            problem.message = "written twice";
            problem.found = "the first is at " + first->where.to_string();
            problem.hint = "remove one of the two";
            problems_.add(std::move(problem));
            return;
        }
        parent.node.entries.push_back(YamlNode::Entry{std::move(key.text), std::move(key.where), std::move(value)});
    }
    /// The path of a key in the map on top of the stack.
    [[nodiscard]] std::string path_of(const std::string& key) const {
        std::string path;
        for (const Open& level : stack_) {
            if (level.node.kind == YamlNode::Kind::sequence)
                path += "[" + std::to_string(level.node.items.size()) + "]";
            else if (&level != &stack_.back() && level.key)
                path += (path.empty() ? "" : ".") + level.key->text;
        }
        return path + (path.empty() ? "" : ".") + key;
    }

    std::string file_;
    Problems& problems_;
    YamlNode root_;
    std::vector<Open> stack_;
    std::map<YAML::anchor_t, YamlNode> anchors_;
    std::size_t nodes_ = 0;
    std::size_t documents_ = 0;
};

/// The ABI guarantees UTF-8 to modules; yaml-cpp does not check the encoding.
bool check_encoding(std::string_view text, const std::string& file, Problems& problems) {
    if (simdjson::validate_utf8(text.data(), text.size())) return true;
    Problem problem;
    problem.where = {file, 0, 0};
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        ++problem.where.line;
        if (!simdjson::validate_utf8(line.data(), line.size())) break;
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    problem.message = "not UTF-8";
    problem.hint = "save the file as UTF-8";
    problems.add(std::move(problem));
    return false;
}

/// YAML 1.2 section 5.1; yaml-cpp reads some of them as other characters.
bool check_characters(std::string_view text, const std::string& file, Problems& problems) {
    const auto found = std::find_if(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n' && c != '\r';
    });
    if (found == text.end()) return true;
    const std::string_view before = text.substr(0, static_cast<std::size_t>(found - text.begin()));
    const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    Problem problem;
    problem.where = {file, 1 + static_cast<unsigned>(std::count(before.begin(), before.end(), '\n')),
                     1 + static_cast<unsigned>(before.size() - line_begin)};
    problem.message = "a control character, which YAML does not allow";
    problem.hint = "remove it, or write it in a text in double quotes, as \"\\x07\"";
    problems.add(std::move(problem));
    return false;
}

/// The location of a tab that indents the given line (from 1) or the one before it, where yaml-cpp reports an error.
std::optional<Location> tab_near(std::string_view text, const std::string& file, unsigned line) {
    for (unsigned number = 1; number <= line && !text.empty(); ++number) {
        const auto current = text.substr(0, text.find('\n'));
        const std::size_t tab = current.substr(0, current.find_first_not_of(" \t")).find('\t');
        if (number + 1 >= line && tab != std::string_view::npos)
            return Location{file, number, static_cast<unsigned>(tab) + 1};
        text.remove_prefix(std::min(current.size() + 1, text.size()));
    }
    return std::nullopt;
}

std::optional<YamlNode> parse(std::string_view text, const std::string& file, Problems& problems) {
    if (!check_encoding(text, file, problems) || !check_characters(text, file, problems)) return std::nullopt;
    Builder builder(file, problems);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const YAML::Exception& error) {
        Problem problem;
        problem.where = {file, 0, 0};
        if (!error.mark.is_null())
            problem.where = {file, static_cast<unsigned>(error.mark.line) + 1,
                             static_cast<unsigned>(error.mark.column) + 1};
        problem.message = "not YAML: " + error.msg;
        problem.hint = "check the indentation, the colons and the quotes around this place";
        if (auto tab = tab_near(text, file, problem.where.line)) {
            problem.where = std::move(*tab);
            problem.message = "not YAML: a tab in the indentation";
            problem.hint = "indent with spaces";
        }
        problems.add(std::move(problem));
        return std::nullopt;
    }
    return builder.take();
}

}  // namespace

bool identical(const YamlNode& a, const YamlNode& b) {
    if (a.kind != b.kind || a.text != b.text || a.quoted != b.quoted) return false;
    if (a.items.size() != b.items.size() || a.entries.size() != b.entries.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i)
        if (!identical(a.items[i], b.items[i])) return false;
    for (const auto& entry : a.entries) {
        const YamlNode::Entry* other = b.find(entry.key);
        if (other == nullptr || !identical(entry.value, other->value)) return false;
    }
    return true;
}

const YamlNode::Entry* YamlNode::find(std::string_view key) const {
    for (const Entry& entry : entries)
        if (entry.key == key) return &entry;
    return nullptr;
}

std::optional<YamlNode> read_yaml_value(std::string_view text, const std::string& file, Problems& problems) {
    return parse(text, file, problems);
}

std::optional<YamlNode> read_yaml(std::string_view text, const std::string& file, Problems& problems) {
    std::optional<YamlNode> root = parse(text, file, problems);
    if (!root) return std::nullopt;
    if (root->kind == YamlNode::Kind::null) {
        root->kind = YamlNode::Kind::map;
        root->where = {file, 1, 1};
    }
    if (root->kind != YamlNode::Kind::map) {
        Problem problem;
        problem.where = root->where;
        problem.message = "has to be a group of keys";
        problem.found = describe(*root);
        problem.hint = "begin with a section such as `plugins:`";
        problems.add(std::move(problem));
        return std::nullopt;
    }
    return root;
}

void merge(YamlNode& into, YamlNode&& from, const std::string& path, Problems& problems) {
    if (from.kind == YamlNode::Kind::null) return;
    if (into.kind == YamlNode::Kind::null) {
        into = std::move(from);
        return;
    }
    if (into.kind == YamlNode::Kind::map && from.kind == YamlNode::Kind::map) {
        for (YamlNode::Entry& entry : from.entries) {
            const std::string below = path.empty() ? entry.key : path + "." + entry.key;
            bool known = false;
            for (YamlNode::Entry& existing : into.entries) {
                if (existing.key != entry.key) continue;
                merge(existing.value, std::move(entry.value), below, problems);
                known = true;
                break;
            }
            if (!known) into.entries.push_back(std::move(entry));
        }
        return;
    }
    if (identical(into, from)) return;
    Problem problem;
    problem.where = from.where;
    problem.path = path;
    problem.message = "given differently in two files";
    problem.found = "the other is at " + into.where.to_string();
    problem.hint = "keep it in one of the two files";
    problems.add(std::move(problem));
}

std::string describe(const YamlNode& node) {
    switch (node.kind) {
        case YamlNode::Kind::null:
            return "nothing";
        case YamlNode::Kind::sequence:
            return "a list";
        case YamlNode::Kind::map:
            return "a group of keys";
        case YamlNode::Kind::scalar:
            break;
    }
    std::string text;
    for (const char c : node.text) {
        if (text.size() >= 80) return text + "...";
        text.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
    }
    return text.empty() ? "empty text" : text;
}

}  // namespace flowd::core
