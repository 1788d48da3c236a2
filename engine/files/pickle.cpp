// SPDX-License-Identifier: MIT
#include "engine/files/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <unordered_map>

namespace msd {
namespace {

using List = PickleValue::List;
using Dict = PickleValue::Dict;

// A vector that grows has its old items, and twice as many places, for a moment.
constexpr std::size_t kGrowth = 3;
constexpr std::size_t kPointer = sizeof(void*);

// Opcodes that make other objects, or call what no file of weights has to.
std::string name_of(std::uint8_t op) {
  constexpr std::pair<int, const char*> kRefused[] = {
      {'o', "OBJ"},        {'P', "PERSID"},      {0x82, "EXT1"},        {0x83, "EXT2"},
      {0x84, "EXT4"},      {0x8f, "EMPTY_SET"},  {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},
      {0x92, "NEWOBJ_EX"}, {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
  for (const auto& [code, name] : kRefused) {
    if (code == op) return name;
  }
  return std::to_string(op);
}

class Machine {
 public:
  Machine(ByteReader& reader, PickleHost& host, PickleArena& arena)
      : reader_(reader), host_(host), arena_(arena) {}

  const PickleValue* run() {
    for (;;) {
      at_ = reader_.at();
      const auto op = reader_.value<std::uint8_t>();
      if (op == '.') return pop();
      if (!number(op) && !text(op) && !container(op) && !memo(op) && !object(op)) {
        fail("opcode ", name_of(op), " is not one that files of weights need");
      }
    }
  }

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw FormatError(message("pickle, byte ", at_, ": ", parts...));
  }

  void push(PickleValue* value) {
    if (stack_.size() == deepest_) grow(deepest_);
    stack_.push_back(value);
  }
  // A deeper stack than ever before; pop_mark() copies a part of it.
  void grow(std::size_t& most) {
    arena_.charge((kGrowth + 1) * kPointer);
    ++most;
  }
  template <typename T>
  void push_new(T value) {
    push(arena_.add(std::move(value)));
  }
  // For values that nothing changes: most of a file's numbers are few and small.
  template <typename T>
  void push_shared(PickleValue*& shared, T value) {
    if (shared == nullptr) shared = arena_.add(std::move(value));
    push(shared);
  }
  void push_byte(std::uint8_t value) { push_shared(bytes_[value], std::int64_t{value}); }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() const {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("the stack is empty");
    return stack_.back();
  }
  /// What lies above the last mark, taken off with it.
  std::vector<const PickleValue*> pop_mark() {
    if (marks_.empty()) fail("no mark is set");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }

  // Decimal text of protocol 0.
  std::optional<std::int64_t> parse(std::string_view text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
      fail("not an integer");
    }
    return error == std::errc() ? std::optional(value) : std::nullopt;
  }
  void decimal(std::string_view text) {
    if (text.ends_with('L')) text.remove_suffix(1);
    if (const std::optional<std::int64_t> value = parse(text)) {
      push_new(*value);
    } else {
      push_new(std::string(text));
    }
  }
  // Two's complement of up to 8 bytes. PyTorch's seeds may have more: those become hexadecimal
  // text.
  void long_bytes(std::span<const std::byte> bytes) {
    if (bytes.size() > 16) fail("an integer of ", bytes.size(), " bytes");
    if (bytes.size() > 8) {
      std::string text = "0x";
      for (std::size_t i = bytes.size(); i-- > 0;) {
        const auto digits = std::to_integer<unsigned>(bytes[i]);
        text += "0123456789abcdef"[digits >> 4];
        text += "0123456789abcdef"[digits & 15];
      }
      push_new(std::move(text));
      return;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }
    const auto unused = static_cast<int>(64 - 8 * bytes.size());
    const auto shifted = unused == 64 ? std::uint64_t{0} : value << unused;
    push_new(unused == 64 ? std::int64_t{0} : static_cast<std::int64_t>(shifted) >> unused);
  }

  bool number(std::uint8_t op) {
    switch (op) {
      case 'N':
        push_shared(none_, PickleValue::None{});
        return true;
      case 0x88:
      case 0x89:
        push_shared(booleans_[op == 0x88 ? 1 : 0], op == 0x88);
        return true;
      case 'I': {
        const std::string_view line = reader_.line();
        if (line == "00" || line == "01") {
          push_new(line == "01");
        } else {
          decimal(line);
        }
        return true;
      }
      case 'L':
        decimal(reader_.line());
        return true;
      case 'J':
        push_new(std::int64_t{reader_.value<std::int32_t>()});
        return true;
      case 'K':
        push_byte(reader_.value<std::uint8_t>());
        return true;
      case 'M':
        push_new(std::int64_t{reader_.value<std::uint16_t>()});
        return true;
      case 0x8a:
        long_bytes(reader_.take(reader_.value<std::uint8_t>()));
        return true;
      case 0x8b:
        long_bytes(reader_.take(reader_.value<std::uint32_t>()));
        return true;
      case 'F': {
        const std::string_view line = reader_.line();
        double value = 0.0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
        if (error != std::errc() || end != line.data() + line.size()) fail("not a number");
        push_new(value);
        return true;
      }
      case 'G': {  // big-endian
        std::uint64_t bits = 0;
        for (const std::byte byte : reader_.take(8)) {
          bits = bits << 8 | std::to_integer<std::uint64_t>(byte);
        }
        push_new(std::bit_cast<double>(bits));
        return true;
      }
      default:
        return false;
    }
  }

  // Text of protocol 0, where all but plain characters would have to be decoded.
  void push_line(std::string_view line) {
    for (const char c : line) {
      if (c < 0x20 || c > 0x7e || c == '\\') fail("text of protocol 0 with an escape");
    }
    push_new(std::string(line));
  }
  void push_text(std::uint64_t size) { push_new(std::string(reader_.text(size))); }
  void push_bytes(std::uint64_t size) {
    push_new(PickleValue::Bytes{std::string(reader_.text(size))});
  }

  bool text(std::uint8_t op) {
    switch (op) {
      case 'S': {  // repr() of a string
        const std::string_view line = reader_.line();
        if (line.size() < 2 || line.front() != line.back()) fail("a string without its quotes");
        push_line(line.substr(1, line.size() - 2));
        return true;
      }
      case 'V':
        push_line(reader_.line());
        return true;
      case 'T':
      case 'X':
        push_text(reader_.value<std::uint32_t>());
        return true;
      case 'U':
      case 0x8c:
        push_text(reader_.value<std::uint8_t>());
        return true;
      case 0x8d:
        push_text(reader_.value<std::uint64_t>());
        return true;
      case 'B':
        push_bytes(reader_.value<std::uint32_t>());
        return true;
      case 'C':
        push_bytes(reader_.value<std::uint8_t>());
        return true;
      case 0x8e:
        push_bytes(reader_.value<std::uint64_t>());
        return true;
      default:
        return false;
    }
  }

  List& list_below() {
    auto* list = std::get_if<List>(&top()->value);
    if (list == nullptr || list->is_tuple) fail("items for ", top()->kind(), ", not a list");
    return *list;
  }
  void tuple_of(std::size_t count) {
    List tuple{std::vector<const PickleValue*>(count), true};
    for (std::size_t i = count; i-- > 0;) tuple.items[i] = pop();
    push_new(std::move(tuple));
  }
  void set_items(const std::vector<const PickleValue*>& items) {
    auto* dict = std::get_if<Dict>(&top()->value);
    if (dict == nullptr) fail("keys for ", top()->kind(), ", not a dictionary");
    if (items.size() % 2 != 0) fail("a key without its value");
    arena_.charge(kGrowth * kPointer * items.size());
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dict->items.emplace_back(items[i], items[i + 1]);
    }
  }

  bool container(std::uint8_t op) {
    switch (op) {
      case '(':
        if (marks_.size() == most_marks_) grow(most_marks_);
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_mark();
        return true;
      case '2':
        push(top());
        return true;
      case ']':
        push_new(List{});
        return true;
      case 'l':
        push_new(List{pop_mark(), false});
        return true;
      case 'a': {
        const PickleValue* item = pop();
        arena_.charge(kGrowth * kPointer);
        list_below().items.push_back(item);
        return true;
      }
      case 'e': {
        const std::vector<const PickleValue*> items = pop_mark();
        arena_.charge(kGrowth * kPointer * items.size());
        std::vector<const PickleValue*>& list = list_below().items;
        list.insert(list.end(), items.begin(), items.end());
        return true;
      }
      case ')':
        push_shared(empty_tuple_, List{{}, true});
        return true;
      case 't':
        push_new(List{pop_mark(), true});
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        tuple_of(op - std::size_t{0x84});
        return true;
      case '}':
        push_new(Dict{});
        return true;
      case 'd': {
        const std::vector<const PickleValue*> items = pop_mark();
        push_new(Dict{});
        set_items(items);
        return true;
      }
      case 's': {
        const PickleValue* value = pop();
        const PickleValue* key = pop();
        set_items({key, value});
        return true;
      }
      case 'u':
        set_items(pop_mark());
        return true;
      default:
        return false;
    }
  }

  void put(std::int64_t index) {
    PickleValue* const value = top();
    const auto [slot, added] = memo_.insert_or_assign(index, value);
    if (added) arena_.charge(8 * kPointer);
  }
  void get(std::int64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("object ", index, " was not remembered");
    push(found->second);
  }
  std::int64_t line_index() {
    const std::optional<std::int64_t> index = parse(reader_.line());
    if (!index) fail("not a place to remember an object at");
    return *index;
  }

  bool memo(std::uint8_t op) {
    switch (op) {
      case 'p':
        put(line_index());
        return true;
      case 'q':
        put(reader_.value<std::uint8_t>());
        return true;
      case 'r':
        put(reader_.value<std::uint32_t>());
        return true;
      case 0x94:
        put(static_cast<std::int64_t>(memo_.size()));
        return true;
      case 'g':
        get(line_index());
        return true;
      case 'h':
        get(reader_.value<std::uint8_t>());
        return true;
      case 'j':
        get(reader_.value<std::uint32_t>());
        return true;
      default:
        return false;
    }
  }

  void push_global(const std::string& name) {
    if (!host_.allows(name)) {
      fail("refers to ", printable(name),
           ", which a file of weights has no need of; refused, nothing of it was run");
    }
    push_new(PickleValue::Global{name});
  }
  void call() {
    const PickleValue* arguments = pop();
    const PickleValue* called = pop();
    const auto* global = called->as<PickleValue::Global>();
    const auto* list = arguments->as<List>();
    if (global == nullptr || list == nullptr || !list->is_tuple) {
      fail("calls ", called->kind(), " with ", arguments->kind());
    }
    push(host_.call(global->name, *list, arena_));
  }

  bool object(std::uint8_t op) {
    switch (op) {
      case 0x80: {  // the protocol
        const int protocol = reader_.value<std::uint8_t>();
        if (protocol > 5) fail("protocol ", protocol, "; 0 to 5 are read");
        return true;
      }
      case 0x95:  // a frame: its size is a hint for streams
        reader_.take(8);
        return true;
      case 'c': {
        const std::string_view module = reader_.line(), name = reader_.line();
        push_global(std::string(module) + "." + std::string(name));
        return true;
      }
      case 0x93: {
        const auto* name = pop()->as<std::string>();
        const auto* module = pop()->as<std::string>();
        if (name == nullptr || module == nullptr) fail("a global without a name");
        push_global(*module + "." + *name);
        return true;
      }
      case 'i': {  // INST: an instance of a class of Python 2
        const std::string_view module = reader_.line(), name = reader_.line();
        push_global(std::string(module) + "." + std::string(name));
        fail("makes an instance of an old class");
      }
      case 'R':
      case 0x81:
        call();
        return true;
      case 'b': {  // attributes; an OrderedDict of PyTorch has its _metadata there
        const PickleValue* state = pop();
        if (top()->as<Dict>() == nullptr || state->as<Dict>() == nullptr) {
          fail("sets attributes of ", top()->kind());
        }
        return true;
      }
      case 'Q': {
        const PickleValue* id = pop();
        push(host_.persistent(*id, arena_));
        return true;
      }
      default:
        return false;
    }
  }

  ByteReader& reader_;
  PickleHost& host_;
  PickleArena& arena_;
  std::size_t at_ = 0;  // of the opcode in hand
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::size_t deepest_ = 0, most_marks_ = 0;
  PickleValue *none_ = nullptr, *empty_tuple_ = nullptr;
  std::array<PickleValue*, 2> booleans_{};
  std::array<PickleValue*, 256> bytes_{};
  std::unordered_map<std::int64_t, PickleValue*> memo_;
};

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  const Dict* dict = as<Dict>();
  if (dict == nullptr) return nullptr;
  // The last one counts, as in Python.
  for (auto item = dict->items.rbegin(); item != dict->items.rend(); ++item) {
    const auto* text = item->first->as<std::string>();
    if (text != nullptr && *text == key) return item->second;
  }
  return nullptr;
}

std::string_view PickleValue::kind() const {
  constexpr std::string_view kKinds[] = {"None",    "a boolean", "an integer", "a number",
                                         "text",    "bytes",     "a list",     "a dictionary",
                                         "a class", "a storage", "a tensor"};
  return kKinds[value.index()];
}

const PickleValue* read_pickle(ByteReader& reader, PickleHost& host, PickleArena& arena) {
  return Machine(reader, host, arena).run();
}

}  // namespace msd
