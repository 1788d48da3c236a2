#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the files that the fuzzers start from: tests/fuzz/corpus/TARGET/good*.

The others there are findings (see CONTRIBUTING.md), which this leaves alone. Needs Python 3.8 and
nothing else; PyTorch's pickles are made of modules that stand in for it.
"""
import argparse
import collections
import datetime
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile
import zlib
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"


def write(name, content):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def stand_in(module, name, made):
    """Makes `made` picklable as module.name."""
    sys.modules.setdefault(module, types.ModuleType(module))
    made.__module__, made.__name__, made.__qualname__ = module, name, name
    setattr(sys.modules[module], name, made)
    return made


for kind in ("torch", "torch._utils"):
    sys.modules.setdefault(kind, types.ModuleType(kind))
STORAGES = {
    kind: stand_in("torch", kind + "Storage", type(kind, (), {}))
    for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Byte", "Bool", "Char",
                 "Untyped")
}
rebuild_tensor = stand_in("torch._utils", "_rebuild_tensor_v2", lambda *given: None)
rebuild_parameter = stand_in("torch._utils", "_rebuild_parameter", lambda *given: None)


class Size(tuple):
    def __reduce__(self):
        return Size, (tuple(self),)


stand_in("torch", "Size", Size)


class Storage:
    def __init__(self, kind, key, content, width, view=None, location="cpu"):
        self.kind, self.key, self.content, self.location = kind, key, content, location
        self.elems, self.view = len(content) // width, view


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.state = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild_tensor, self.state


class Parameter(Tensor):
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def pickled(value, protocol, legacy):
    class Pickler(pickle.Pickler):
        def persistent_id(self, found):
            if not isinstance(found, Storage):
                return None
            more = (found.view,) if legacy else ()
            return ("storage", STORAGES[found.kind], found.key, found.location, found.elems) + more

    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue()


def tree(storages):
    weight, half, count, empty = storages
    names = collections.OrderedDict(
        weight=Tensor(weight, 0, (2, 3), (3, 1)),
        transposed=Parameter(Tensor(weight, 0, (3, 2), (1, 3))),
        half=Tensor(half, 1, (2,), (1,)),
        count=Tensor(count, 0, (), ()),
        empty=Tensor(empty, 0, (0, 4), (4, 1)),
    )
    names._metadata = collections.OrderedDict({"": {"version": 1}})
    knots = [1, -2, 300, 70000, 2**40, -(2**63), 0.5, True, None, "text", Size((2, 3)), ()]
    knots.append(knots)
    return {"epoch": 3, "arch": "msdnet", "state_dict": names, "knots": knots}


def storages(legacy_view=None):
    return [
        Storage("Float", "0", struct.pack("<6f", *range(6)), 4, legacy_view, "cuda:0"),
        Storage("Half", "1", struct.pack("<3e", 1, 2, 3), 2),
        Storage("Long", "2", struct.pack("<q", 7), 8),
        Storage("Byte", "3", b"", 1),
    ]


class Called:
    """What a call of a function makes, then given a state."""
    def __init__(self, function, *given, state=None):
        self.made = (function, given) if state is None else (function, given, state)

    def __reduce__(self):
        return self.made


def calls(module, name):
    found = getattr(sys.modules.setdefault(module, types.ModuleType(module)), name, None)
    return found or stand_in(module, name, lambda *given: None)


class Foo:
    pass


class Bag(dict):
    pass


stand_in("train", "Foo", Foo)
stand_in("train", "Bag", Bag)


def numpy_dtype(code, order):
    return Called(calls("numpy", "dtype"), code, False, True,
                  state=(3, order, None, None, None, -1, -1, 0))


def opaque():
    """One of each kind of value that a file may have beside its weights."""
    foo = Foo()
    foo.x, foo.self = 1, foo
    device, scalar = calls("torch", "device"), calls("numpy.core.multiarray", "scalar")
    reconstruct, ndarray = calls("numpy.core.multiarray", "_reconstruct"), calls("numpy", "ndarray")
    array = Called(reconstruct, ndarray, (0,), b"b",
                   state=(1, (2, 3), numpy_dtype("u1", "|"), True, bytes(range(6))))
    buffer = Called(calls("numpy.core.numeric", "_frombuffer"), bytearray(8),
                    numpy_dtype("f4", "<"), (2,), "C")
    held = Storage("Float", "0", bytes(24), 4)
    given = (held, 0, (2,), (1,), False, collections.OrderedDict())
    fp8 = Called(calls("torch._utils", "_rebuild_tensor_v3"), Storage("Untyped", "1", bytes(4), 1),
                 0, (4,), (1,), False, collections.OrderedDict(), calls("torch", "float8_e4m3fn"), {})
    subclass = Called(calls("torch._tensor", "_rebuild_from_type_v2"), rebuild_tensor, Foo, given, {})
    negated = Called(rebuild_tensor, *given, {"neg": True})
    return {
        "counter": collections.Counter([1, 1, 2]), "factory": collections.defaultdict(list, a=1),
        "deque": collections.deque([1], maxlen=2), "sets": [{1}, frozenset([2])],
        "bytes": [b"a\xff", bytearray(b"b"), 1 + 2j, 2**70], "args": argparse.Namespace(lr=0.5),
        "foo": foo, "bag": Bag(a=1), "path": pathlib.PurePosixPath("/a"),
        "time": datetime.timedelta(1), "device": Called(device, "cuda", 0), "named": [Foo, dict],
        "scalar": Called(scalar, numpy_dtype("f8", "<"), struct.pack("<d", 0.5)), "array": array,
        "buffer": buffer, "fp8": fp8, "subclass": subclass, "negated": negated,
        "sparse": Called(calls("torch._utils", "_rebuild_sparse_tensor"), "coo", (1, 2)),
        "char": Tensor(Storage("Char", "2", bytes(3), 1), 0, (3,), (1,)),
        "state_dict": {"_orig_mod.blocks.0.0.layers.0.net.0.weight": Tensor(held, 0, (6,), (1,)),
                       "_orig_mod.blocks.0.0.layers.0.net.0.total_ops": Tensor(held, 0, (), ()),
                       "_extra_state": None}}


def whole_model():
    """Modules as torch.nn has them."""
    def module(parameters, modules):
        made = Foo()
        made.__dict__.update(_parameters=parameters, _buffers={}, _modules=modules, training=True)
        return made

    names = ["blocks", "0", "0", "layers", "0", "net", "0"]
    made = module({"weight": Tensor(Storage("Float", "0", bytes(24), 4), 0, (6,), (1,))}, {})
    for name in reversed(names):
        made = module({}, {name: made})
    return {"model": made, "epoch": 3}


def torch_zip(protocol, compression, zip64=False):
    held = storages()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        entries = {"data.pkl": pickled(tree(held), protocol, False), "byteorder": b"little"}
        entries.update({"data/" + storage.key: storage.content for storage in held})
        entries["version"] = b"3\n"
        for name, content in entries.items():
            info = zipfile.ZipInfo("a/" + name)
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=zip64) as entry:
                entry.write(content)
    return out.getvalue()


def torch_legacy(view=None):
    held = storages(view)
    system = {"protocol_version": 1001, "little_endian": True,
              "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = b"".join(pickled(part, 2, True) for part in
                   (0x1950A86A20F9469CFC6C, 1001, system, tree(held), [s.key for s in held]))
    return out + b"".join(struct.pack("<q", s.elems) + s.content for s in held)


for protocol in (2, 4, 5):
    write(f"pickle/good_objects{protocol}", pickled(opaque(), protocol, False))
write("pickle/good_model", pickled(whole_model(), 2, False))
write("pickle/good_tree", pickled(tree(storages()), 2, False))
write("torch/good_stored", torch_zip(2, zipfile.ZIP_STORED))
write("torch/good_deflated", torch_zip(4, zipfile.ZIP_DEFLATED))
write("torch/good_zip64", torch_zip(5, zipfile.ZIP_STORED, zip64=True))
write("torch/good_legacy", torch_legacy())
write("torch/good_legacy_view", torch_legacy(("9", 0, 6)))


def safetensors(header, content, spaces=0):
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * spaces
    return struct.pack("<Q", len(text)) + text + content


write("safetensors/good_types", safetensors(
    {"__metadata__": {"format": "pt"},
     "a": {"dtype": "F64", "shape": [1, 2], "data_offsets": [0, 16]},
     "b": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
     "c": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
     "d": {"dtype": "F16", "shape": [1], "data_offsets": [26, 28]},
     "e": {"dtype": "I64", "shape": [0, 3], "data_offsets": [28, 28]},
     "f": {"dtype": "U8", "shape": [3], "data_offsets": [28, 31]}}, bytes(range(31)), spaces=3))
write("safetensors/good_empty", safetensors({}, b""))

write("cifar/good_cifar10", b"\0" + b"\x03" + bytes(i % 251 for i in range(3072)))
write("cifar/good_cifar100", b"\1" + b"\x05\x63" + bytes(i % 241 for i in range(3072)))


def png(width, height, depth, color, rows, interlaced=0):
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))
    palette = chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6])) if color == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)) +
            palette + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


write("png/good_color.png", png(2, 5, 8, 2, b"".join(bytes([f, 1, 2, 3, 4, 5, 6]) for f in range(5))))
write("png/good_palette.png", png(9, 2, 1, 3, b"\0\xa5\x80" * 2))
write("png/good_grey16.png", png(2, 1, 16, 4, b"\0" + bytes(range(8))))
write("png/good_interlaced.png", png(1, 1, 8, 0, b"\0\x07", interlaced=1))
write("image/good.ppm", b"P6\n# text\n2 1\n255\n" + bytes(range(6)))
write("image/good.pgm", b"P5 3 1 255\n" + bytes(range(3)))
write("image/good.bmp", b"BM" + struct.pack("<IHHI", 62, 0, 0, 54) +
      struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 24, 0, 8, 0, 0, 0, 0) + bytes(range(8)))
write("image/good_palette.bmp", b"BM" + struct.pack("<IHHI", 66, 0, 0, 62) +
      struct.pack("<IiiHHIIiiII", 40, 3, -1, 1, 8, 0, 4, 0, 0, 2, 0) +
      b"\1\2\3\0\4\5\6\0" + b"\0\1\0\0")

write("image/good.gif", b"GIF87a" + struct.pack("<HHBBB", 2, 2, 0x81, 0, 0) + bytes(range(12)) +
      b"," + struct.pack("<HHHHB", 0, 0, 2, 2, 0) + bytes.fromhex("080700010400002020003b"))
write("image/good.tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 3, 1, 24, 0x30) +
      bytes([0x81, 1, 2, 3, 0, 4, 5, 6]))
# By Pillow, 3 x 2 pixels: libwebp's encoder is no business of this script.
write("webp/good_lossless.webp", bytes.fromhex(
    "524946462e000000574542505650384c210000002f024000000f402040992a0c45906db3edfe58f77a41cbfcc7e61f5e"
    "7010d1ff0800"))
write("webp/good_lossy.webp", bytes.fromhex(
    "52494646540000005745425056503820480000001002009d012a0300020001402625a80274ba01f8000238b80000fee6"
    "e7a155c7fffdbccc3c76bc7f9cd22b471a4a79ff951a785cc3830b733ffd0dee975fc4d98b333c5f2b000000"))


def jpeg(progressive):
    """16 x 8 grey pixels: two blocks, the second darker."""
    def segment(marker, content):
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    def scan(first, last, bits):
        bits += "1" * (-len(bits) % 8)
        return (segment(0xDA, bytes([1, 1, 0, first, last, 0])) +
                int(bits, 2).to_bytes(len(bits) // 8, "big"))

    dc = segment(0xC4, b"\0" + bytes([0, 2] + [0] * 14) + bytes([0, 5]))  # 00, 01: length 0, 5
    ac = segment(0xC4, b"\x10" + bytes([0, 1] + [0] * 14) + bytes([0]))   # 00: the block's end
    start = (b"\xff\xd8" + segment(0xDB, b"\0" + bytes([8] * 64)) +
             segment(0xC2 if progressive else 0xC0, struct.pack(">BHHB", 8, 8, 16, 1) + b"\1\x11\0"))
    left, right, end = "01" + "10100", "01" + "01011", "00"
    if progressive:
        scans = dc + scan(0, 0, left + right) + ac + scan(1, 63, end + end)
    else:
        scans = dc + ac + scan(0, 63, left + end + right + end)
    return start + scans + b"\xff\xd9"


write("jpeg/good.jpg", jpeg(progressive=False))
write("jpeg/good_progressive.jpg", jpeg(progressive=True))

# The configuration that the costs below are known of, from the public implementation.
CONFIG = {"blocks": 5, "step_mode": "lin_grow", "step": 1, "base": 1, "classes": 100}
COSTS = {"mul_adds_lazy": [5917184, 12645376, 24502784, 40169472, 58087936],
         "ops": [6859876, 14350024, 27536684, 41714576, 58480628]}
IMAGES = {"dataset": "cifar100", "part": "holdout", "samples": 5}
SHARES = [0.2] * 5


def point(p):
    return {"p": p, "thresholds": [0.9, None, 0.5, 0.1, 0.0], "expected_mul_adds": 2e7,
            "holdout_accuracy": 0.5, "holdout_shares": SHARES, "accuracy": 0.25,
            "mean_mul_adds": 2.5e7, "mean_ops": 3e7, "shares": SHARES}


write("config/good_default", b"{}")
write("config/good_cifar100", json.dumps(CONFIG).encode())
write("config/good_imagenet", json.dumps(
    {"blocks": 2, "step": 1, "base": 2, "input_kind": "imagenet", "image_size": 224, "reduction": 0.5,
     "bottleneck": False, "prune": "min", "growth_factors": [1, 2, 4, 4]}).encode())
write("thresholds/good_cifar100", json.dumps(
    {"format": "msd-thresholds-1", "model": "xxh3-0", "checkpoint": "run/best.safetensors",
     "config": CONFIG, "fitted_on": {**IMAGES, "fingerprint": "f", "choice": {"seed": 1}},
     "evaluated_on": {**IMAGES, "part": "test"}, "costs": COSTS,
     "points": [point(0.5), point(1.0)]}).encode())


def t7_text(text):
    return struct.pack("<i", len(text)) + text


def t7_object(index, name, content):
    """The layout is described in tests/support/torch7_writer.h."""
    return struct.pack("<ii", 4, index) + t7_text(b"V 1") + t7_text(name) + content


def t7_table(index, items):
    packed = struct.pack("<iii", 3, index, len(items))
    return packed + b"".join(struct.pack("<i", 2) + t7_text(key) + value for key, value in items)


STORAGE = t7_object(3, b"torch.FloatStorage", struct.pack("<q6f", 6, 1, 2, 3, 4, 5, 6))
TENSOR = t7_object(2, b"torch.FloatTensor", struct.pack("<iqqqqq", 2, 2, 2, 3, 1, 2) + STORAGE)
write("torch7/good_values", t7_table(1, [
    (b"number", struct.pack("<id", 1, 0.5)), (b"yes", struct.pack("<ii", 5, 1)),
    (b"text", struct.pack("<i", 2) + t7_text(b"t")), (b"nothing", struct.pack("<i", 0)),
    (b"tensor", TENSOR), (b"again", struct.pack("<ii", 4, 2)), (b"self", struct.pack("<ii", 3, 1))]))
write("torch7/good_module", t7_object(1, b"nn.ReLU", t7_table(2, [
    (b"inplace", struct.pack("<ii", 5, 1))])))
