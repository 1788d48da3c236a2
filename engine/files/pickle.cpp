// SPDX-License-Identifier: MIT
#include "engine/files/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "engine/files/pickle_stack.h"

namespace msd {
namespace {

using List = PickleValue::List;
using Dict = PickleValue::Dict;

// Opcodes that refer to what is not in the pickle.
std::string name_of(std::uint8_t op) {
  constexpr std::pair<int, const char*> kRefused[] = {
      {'P', "PERSID"}, {0x82, "EXT1"},        {0x83, "EXT2"},
      {0x84, "EXT4"},  {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
  for (const auto& [code, name] : kRefused) {
    if (code == op) return name;
  }
  return std::to_string(op);
}

class Machine : private PickleStack {
 public:
  Machine(ByteReader& reader, PickleHost& host, PickleArena& arena)
      : PickleStack(arena), reader_(reader), host_(host) {}

  const PickleValue* run() {
    for (;;) {
      at(reader_.at());
      const auto op = reader_.value<std::uint8_t>();
      if (op == '.') return pop();
      if (!number(op) && !text(op) && !container(op) && !memo(op) && !object(op)) {
        fail("opcode ", name_of(op), " is not one that files of weights need");
      }
    }
  }

 private:
  void push_byte(std::uint8_t value) { push_shared(bytes_[value], std::int64_t{value}); }

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
  // Two's complement of up to 8 bytes. PyTorch's seeds may have more, and random generators' states
  // many more: those become hexadecimal text.
  void long_bytes(std::span<const std::byte> bytes) {
    constexpr std::size_t kMostBytes = 4096;
    if (bytes.size() > kMostBytes) fail("an integer of ", bytes.size(), " bytes");
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
  void push_bytes(std::uint64_t size) { push_new(PickleValue::Bytes{reader_.text(size)}); }

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
      case 0x96:  // a bytearray
        push_bytes(reader_.value<std::uint64_t>());
        return true;
      default:
        return false;
    }
  }

  void append(const std::vector<const PickleValue*>& items) {
    if (top()->as<PickleValue::Object>() != nullptr) return;  // a list too; nobody asks for it
    auto* list = std::get_if<List>(&top()->value);
    if (list == nullptr || list->is_tuple) fail("items for ", top()->kind(), ", not a list");
    charge_items(items.size());
    list->items.insert(list->items.end(), items.begin(), items.end());
  }
  void tuple_of(std::size_t count) {
    List tuple{std::vector<const PickleValue*>(count), true};
    for (std::size_t i = count; i-- > 0;) tuple.items[i] = pop();
    push_new(std::move(tuple));
  }
  void set_items(const std::vector<const PickleValue*>& items) {
    auto* object = std::get_if<PickleValue::Object>(&top()->value);
    auto* dict = object == nullptr ? std::get_if<Dict>(&top()->value) : &object->items;
    if (dict == nullptr) fail("keys for ", top()->kind(), ", not a dictionary");
    if (items.size() % 2 != 0) fail("a key without its value");
    charge_items(items.size());
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dict->items.emplace_back(items[i], items[i + 1]);
    }
  }

  bool container(std::uint8_t op) {
    switch (op) {
      case '(':
        push_mark();
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
      case 0x8f:  // a set
        push_new(List{});
        return true;
      case 'l':
      case 0x91:  // a frozenset
        push_new(List{pop_mark(), false});
        return true;
      case 'a':
        append({pop()});
        return true;
      case 'e':
      case 0x90:  // into a set
        append(pop_mark());
        return true;
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
    if (added) charge_items(3);  // a node of the map
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
  // Calling a class or function, and making an instance without calling its class.
  void make(bool called, const PickleValue* arguments, const PickleValue* type) {
    const auto* list = arguments->as<List>();
    if (type->as<PickleValue::Global>() == nullptr || list == nullptr || !list->is_tuple) {
      fail("calls ", type->kind(), " with ", arguments->kind());
    }
    push(called ? host_.call(*type, *arguments, arena_)
                : host_.instance(*type, *arguments, arena_));
  }
  std::string global_name() {
    const std::string_view module = reader_.line(), name = reader_.line();
    return message(module, '.', name);
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
      case 'c':
        push_global(global_name());
        return true;
      case 0x93: {
        const auto* name = pop()->as<std::string>();
        const auto* module = pop()->as<std::string>();
        if (name == nullptr || module == nullptr) fail("a global without a name");
        push_global(*module + "." + *name);
        return true;
      }
      case 'i': {  // INST: a class of Python 2 is called with what follows the mark
        const PickleValue* arguments = arena_.add(List{pop_mark(), true});
        push_global(global_name());
        make(true, arguments, pop());
        return true;
      }
      case 'o': {  // OBJ: the same, the class being the first thing
        List arguments{pop_mark(), true};
        if (arguments.items.empty()) fail("makes an object of nothing");
        const PickleValue* type = arguments.items.front();
        arguments.items.erase(arguments.items.begin());
        make(true, arena_.add(std::move(arguments)), type);
        return true;
      }
      case 'R':
      case 0x81: {
        const PickleValue* arguments = pop();
        make(op == 'R', arguments, pop());
        return true;
      }
      case 0x92: {  // an instance with keywords, too
        pop();
        const PickleValue* arguments = pop();
        make(false, arguments, pop());
        return true;
      }
      case 'b': {
        const PickleValue* state = pop();
        host_.build(*top(), *state, arena_);
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
  PickleValue *none_ = nullptr, *empty_tuple_ = nullptr;
  std::array<PickleValue*, 2> booleans_{};
  std::array<PickleValue*, 256> bytes_{};
  std::unordered_map<std::int64_t, PickleValue*> memo_;
};

}  // namespace

const PickleValue* read_pickle(ByteReader& reader, PickleHost& host, PickleArena& arena) {
  return Machine(reader, host, arena).run();
}

}  // namespace msd
