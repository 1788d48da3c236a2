// SPDX-License-Identifier: MIT
#include "engine/files/pickle_objects.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace msd {
namespace {

using Bytes = PickleValue::Bytes;
using Dict = PickleValue::Dict;
using List = PickleValue::List;
using Global = PickleValue::Global;
using Object = PickleValue::Object;

// Modules, and functions of Python, that no value comes from.
constexpr std::string_view kForbidden[] = {"os",
                                           "posix",
                                           "nt",
                                           "subprocess",
                                           "sys",
                                           "shutil",
                                           "socket",
                                           "runpy",
                                           "pty",
                                           "ctypes",
                                           "importlib",
                                           "webbrowser",
                                           "commands",
                                           "code",
                                           "pdb",
                                           "bdb",
                                           "timeit",
                                           "pickle",
                                           "_pickle",
                                           "cloudpickle",
                                           "dill",
                                           "builtins.eval",
                                           "builtins.exec",
                                           "builtins.execfile",
                                           "builtins.compile",
                                           "builtins.open",
                                           "builtins.input",
                                           "builtins.__import__",
                                           "builtins.apply",
                                           "builtins.globals"};

// Whose calls make a value of their arguments and do nothing else; one that ends in '.' or '_'
// stands for all that begin so.
constexpr std::string_view kHarmless[] = {"_codecs.encode",
                                          "argparse.Namespace",
                                          "builtins.bool",
                                          "builtins.bytearray",
                                          "builtins.bytes",
                                          "builtins.complex",
                                          "builtins.float",
                                          "builtins.frozenset",
                                          "builtins.getattr",
                                          "builtins.int",
                                          "builtins.list",
                                          "builtins.long",
                                          "builtins.object",
                                          "builtins.range",
                                          "builtins.set",
                                          "builtins.slice",
                                          "builtins.str",
                                          "builtins.tuple",
                                          "builtins.type",
                                          "builtins.unicode",
                                          "builtins.xrange",
                                          "collections.ChainMap",
                                          "collections.UserDict",
                                          "collections.deque",
                                          "datetime.date",
                                          "datetime.datetime",
                                          "datetime.time",
                                          "datetime.timedelta",
                                          "datetime.timezone",
                                          "decimal.Decimal",
                                          "fractions.Fraction",
                                          "functools.partial",
                                          "itertools.count",
                                          "numpy.core.multiarray._reconstruct",
                                          "numpy.core.multiarray.scalar",
                                          "numpy.core.numeric._frombuffer",
                                          "numpy.dtype",
                                          "numpy.ma.core._mareconstruct",
                                          "numpy.random._pickle.",
                                          "numpy.random.__RandomState_ctor",
                                          "numpy.random.bit_generator.__pyx_unpickle_",
                                          "operator.attrgetter",
                                          "operator.itemgetter",
                                          "operator.methodcaller",
                                          "pathlib.Path",
                                          "pathlib.PosixPath",
                                          "pathlib.PurePath",
                                          "pathlib.PurePosixPath",
                                          "pathlib.PureWindowsPath",
                                          "pathlib.WindowsPath",
                                          "pathlib._local.",
                                          "random.Random",
                                          "re._compile",
                                          "torch._C.Generator",
                                          "torch._tensor._rebuild_",
                                          "torch._utils._rebuild_",
                                          "torch.device",
                                          "torch.return_types.",
                                          "torch.serialization._get_layout",
                                          "types.SimpleNamespace",
                                          "uuid.UUID",
                                          "zoneinfo.ZoneInfo._unpickle"};

constexpr std::string_view kDicts[] = {"builtins.dict", "collections.Counter",
                                       "collections.OrderedDict"};
constexpr std::string_view kLists[] = {"builtins.list", "builtins.tuple", "builtins.set",
                                       "builtins.frozenset", "collections.deque"};

template <std::size_t N>
bool is_one_of(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// The name that Python 3 and NumPy 1 have for it.
std::string present_name(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
      {"__builtin__.", "builtins."}, {"copy_reg.", "copyreg."}, {"numpy._core.", "numpy.core."}};
  for (const auto& [old, now] : kRenamed) {
    if (name.starts_with(old)) return std::string(now) + name.substr(old.size());
  }
  return name;
}

std::string name_of(const PickleValue& global) { return present_name(global.as<Global>()->name); }

PickleValue* object_of(const PickleValue& type, const PickleValue* arguments, PickleArena& arena) {
  return arena.add(Object{&type, arguments, nullptr, {}});
}

// The pairs of a dictionary, or of a list of pairs; nothing where it is neither.
std::optional<Dict> pairs_of(const PickleValue& value) {
  if (const auto* dict = value.as<Dict>()) return *dict;
  const auto* list = value.as<List>();
  if (list == nullptr) return std::nullopt;
  Dict dict;
  for (const PickleValue* item : list->items) {
    const auto* pair = item->as<List>();
    if (pair == nullptr || pair->items.size() != 2) return std::nullopt;
    dict.items.emplace_back(pair->items[0], pair->items[1]);
  }
  return dict;
}

// The bytes that Latin-1 has for UTF-8; nothing where it has none.
std::optional<std::string> latin1_of(std::string_view utf8) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x80) {
      out += utf8[i];
      continue;
    }
    if ((byte & 0xFE) != 0xC2 || i + 1 == utf8.size()) return std::nullopt;
    const auto next = static_cast<unsigned char>(utf8[++i]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    out += static_cast<char>((byte & 3) << 6 | (next & 0x3F));
  }
  return out;
}

std::optional<std::string_view> bytes_of(const PickleValue& value) {
  if (const auto* bytes = value.as<Bytes>()) return bytes->bytes;
  if (const auto* text = value.as<std::string>()) return *text;  // bytes of Python 2
  return std::nullopt;
}

// What bytes are made of: nothing, bytes, or text and "latin-1".
std::optional<std::string> made_bytes(const List& given) {
  if (given.items.empty()) return std::string();
  if (const auto* bytes = given.items[0]->as<Bytes>()) return std::string(bytes->bytes);
  const auto* text = given.items[0]->as<std::string>();
  const auto* code = given.items.size() == 2 ? given.items[1]->as<std::string>() : nullptr;
  if (text == nullptr || code == nullptr || (*code != "latin1" && *code != "latin-1")) {
    return std::nullopt;
  }
  return latin1_of(*text);
}

// NumPy's types that a tensor here has, little-endian; "b1" is a boolean.
struct NumpyType {
  std::string_view code;
  DType dtype;
};
constexpr NumpyType kNumpyTypes[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16},
                                     {"i8", DType::i64}, {"i4", DType::i32}, {"u1", DType::u8},
                                     {"b1", DType::u8}};

const NumpyType* numpy_type(const PickleValue& dtype) {
  const auto* object = dtype.as<Object>();
  if (object == nullptr || object->arguments == nullptr || object->state == nullptr ||
      name_of(*object->type) != "numpy.dtype") {
    return nullptr;
  }
  const auto* given = object->arguments->as<List>();
  const auto* state = object->state->as<List>();  // (version, byte order, subtype, names, ...)
  if (given->items.empty() || state == nullptr || state->items.size() < 4) return nullptr;
  const auto* code = given->items[0]->as<std::string>();
  const auto* order = state->items[1]->as<std::string>();
  if (code == nullptr || order == nullptr || (*order != "<" && *order != "|")) return nullptr;
  if (state->items[2]->as<PickleValue::None>() == nullptr) return nullptr;
  const NumpyType* found = std::find_if(std::begin(kNumpyTypes), std::end(kNumpyTypes),
                                        [&](const NumpyType& t) { return t.code == *code; });
  return found == std::end(kNumpyTypes) ? nullptr : found;
}

// numpy.core.multiarray.scalar(dtype, bytes)
PickleValue* numpy_scalar(const List& given, PickleArena& arena) {
  if (given.items.size() != 2) return nullptr;
  const NumpyType* type = numpy_type(*given.items[0]);
  const std::optional<std::string_view> bytes = bytes_of(*given.items[1]);
  if (type == nullptr || !bytes ||
      static_cast<std::int64_t>(bytes->size()) != size_bytes(type->dtype)) {
    return nullptr;
  }
  if (type->code == "b1") return arena.add((*bytes)[0] != 0);
  std::int64_t aligned = 0;
  std::memcpy(&aligned, bytes->data(), bytes->size());
  if (type->dtype == DType::i64) return arena.add(aligned);
  const double value = load_element(&aligned, type->dtype, 0);
  const bool whole = type->dtype == DType::i32 || type->dtype == DType::u8;
  return whole ? arena.add(static_cast<std::int64_t>(value)) : arena.add(value);
}

// An array of these elements in C's order, or in Fortran's; nothing where no tensor holds it.
std::optional<Tensor> numpy_array(const PickleValue& dtype, const PickleValue& size, bool fortran,
                                  const PickleValue& content, PickleArena& arena) {
  const NumpyType* type = numpy_type(dtype);
  const auto* list = size.as<List>();
  const std::optional<std::string_view> held = bytes_of(content);
  constexpr std::size_t kMostDimensions = 64;
  if (type == nullptr || list == nullptr || list->items.size() > kMostDimensions || !held) {
    return std::nullopt;
  }
  std::vector<std::int64_t> shape;
  std::int64_t needed = size_bytes(type->dtype);
  for (const PickleValue* item : list->items) {
    const auto* d = item->as<std::int64_t>();
    if (d == nullptr || *d < 0 || __builtin_mul_overflow(needed, *d, &needed)) return std::nullopt;
    shape.push_back(*d);
  }
  // Without elements the strides could be beyond any number; and a packed copy may follow.
  if (needed != static_cast<std::int64_t>(held->size()) || (needed == 0 && shape.size() > 1) ||
      !arena.charge_copy((fortran ? 2 : 1) * held->size())) {
    return std::nullopt;
  }
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t axis = fortran ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    stride *= shape[axis];
  }
  auto buffer = std::make_shared<Buffer>(host_allocator(), needed);
  if (needed > 0) std::memcpy(buffer->data(), held->data(), held->size());
  return Tensor::over(std::move(buffer), 0, std::move(shape), std::move(strides), type->dtype);
}

// numpy.core.numeric._frombuffer(buffer, dtype, shape, order)
PickleValue* numpy_buffer(const List& given, PickleArena& arena) {
  if (given.items.size() != 4) return nullptr;
  const auto* order = given.items[3]->as<std::string>();
  if (order == nullptr) return nullptr;
  auto tensor =
      numpy_array(*given.items[1], *given.items[2], *order == "F", *given.items[0], arena);
  return tensor ? arena.add(std::move(*tensor)) : nullptr;
}

// What a known call makes that is more than an Object; nullptr where it is none.
PickleValue* known_value(const std::string& name, const List& given, PickleArena& arena) {
  const std::vector<const PickleValue*>& items = given.items;
  if (is_one_of(kDicts, name) && items.size() <= 1) {
    std::optional<Dict> dict = items.empty() ? Dict() : pairs_of(*items[0]);
    if (!dict) throw FormatError(message("makes a dictionary of ", items[0]->kind()));
    return arena.add(std::move(*dict));
  }
  if (name == "collections.defaultdict" && items.size() <= 2) {
    std::optional<Dict> dict = items.size() < 2 ? Dict() : pairs_of(*items[1]);
    return dict ? arena.add(std::move(*dict)) : nullptr;
  }
  if (is_one_of(kLists, name)) {
    if (items.empty()) return arena.add(List{});
    const auto* list = items[0]->as<List>();
    return list == nullptr ? nullptr : arena.add(List{list->items, name == "builtins.tuple"});
  }
  if (name == "builtins.bytes" || name == "builtins.bytearray" || name == "_codecs.encode") {
    std::optional<std::string> bytes = made_bytes(given);
    return bytes ? arena.add(Bytes{arena.keep(std::move(*bytes))}) : nullptr;
  }
  if (name == "numpy.core.multiarray.scalar") return numpy_scalar(given, arena);
  if (name == "numpy.core.numeric._frombuffer") return numpy_buffer(given, arena);
  // The class that these make an instance of comes first.
  if ((name == "numpy.core.multiarray._reconstruct" || name.starts_with("copyreg.__newobj") ||
       name == "copyreg._reconstructor") &&
      !items.empty() && items[0]->as<Global>() != nullptr) {
    const auto* state = items.size() == 3 ? items[2]->as<Dict>() : nullptr;
    return arena.add(Object{items[0], nullptr, nullptr, state == nullptr ? Dict{} : *state});
  }
  return nullptr;
}

bool is_harmless(std::string_view name) {
  return std::any_of(std::begin(kHarmless), std::end(kHarmless), [&](std::string_view known) {
    const bool family = known.ends_with('.') || known.ends_with('_');
    return family ? name.starts_with(known) : name == known;
  });
}

}  // namespace

bool PythonHost::allows(const std::string& name) const {
  const std::string present = present_name(name);
  return std::none_of(std::begin(kForbidden), std::end(kForbidden), [&](std::string_view other) {
    return present.starts_with(other) &&
           (present.size() == other.size() || present[other.size()] == '.');
  });
}

PickleValue* PythonHost::call(const PickleValue& global, const PickleValue& arguments,
                              PickleArena& arena) {
  const std::string name = name_of(global);
  if (PickleValue* value = known_value(name, *arguments.as<List>(), arena)) return value;
  if (!is_harmless(name)) refuse_call(name);
  return object_of(global, &arguments, arena);
}

PickleValue* PythonHost::instance(const PickleValue& type, const PickleValue& arguments,
                                  PickleArena& arena) {
  const std::string name = name_of(type);
  if (is_one_of(kDicts, name) || is_one_of(kLists, name)) {
    if (PickleValue* value = known_value(name, *arguments.as<List>(), arena)) return value;
  }
  return object_of(type, &arguments, arena);
}

void PythonHost::build(PickleValue& value, const PickleValue& state, PickleArena& arena) {
  if (auto* object = std::get_if<Object>(&value.value)) {
    object->state = &state;
    const auto* parts = state.as<List>();  // (version, shape, dtype, Fortran's order, content)
    if (name_of(*object->type) != "numpy.ndarray" || parts == nullptr || parts->items.size() != 5) {
      return;
    }
    const auto* fortran = parts->items[3]->as<bool>();
    auto tensor = numpy_array(*parts->items[2], *parts->items[1], fortran != nullptr && *fortran,
                              *parts->items[4], arena);
    if (!tensor) return;
    arena.charge(2 * sizeof(std::int64_t) * tensor->shape().size());
    value.value = std::move(*tensor);
    return;
  }
  // Attributes of a container or a tensor: an OrderedDict of PyTorch has its _metadata there.
  const bool has_attributes =
      value.as<Dict>() != nullptr || value.as<List>() != nullptr || value.as<Tensor>() != nullptr;
  if (!has_attributes || state.as<Dict>() == nullptr) {
    throw FormatError(message("sets attributes of ", value.kind()));
  }
}

void PythonHost::refuse_call(const std::string& name) {
  throw FormatError("calls " + printable(name) +
                    ", which might do anything; refused, nothing of it was run. If you trust the "
                    "file, load it with PyTorch and save the weights alone: "
                    "torch.save(model.state_dict(), FILE)");
}

PickleValue* opaque_object(std::string type, const PickleValue* arguments, PickleArena& arena) {
  return object_of(*arena.add(Global{std::move(type)}), arguments, arena);
}

bool is_opaque_tensor(const PickleValue& value) {
  const auto* object = value.as<Object>();
  return object != nullptr && object->type->as<Global>()->name.starts_with("tensor ");
}

}  // namespace msd
