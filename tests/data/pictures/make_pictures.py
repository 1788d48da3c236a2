#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the files beside it: pictures of 13 x 9 pixels and what they are.

NAME is an image file, NAME.ppm the pixels that Pillow's convert("RGB") gives (a 16-bit grey's, which
Pillow cuts off at 255, from its values), NAME.txt words of the error with which it is refused.
Needs Pillow 11 or later, numpy and libjpeg-turbo's cjpeg and jpegtran. Other versions of them may
write other bytes: a file that is there is kept.
"""
import io
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
H, W = 9, 13
y, x = np.mgrid[0:H, 0:W]
PIXELS = np.stack([x * 19 + 8, y * 28 + 10, 255 - x * 11 - y * 9], -1).clip(0, 255).astype(np.uint8)
PIXELS[3:6, 4:9] = [250, 30, 40]
RGB = Image.fromarray(PIXELS)
PALETTED = RGB.quantize(16)


def write(name: str, data: bytes, refused: str = "") -> None:
    path = HERE / name
    if path.exists():
        return
    path.write_bytes(data)
    if refused:
        Path(f"{path}.txt").write_text(refused + "\n")
        return
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            grey = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            grey.convert("RGB").save(f"{path}.ppm")
        else:
            image.convert("RGB").save(f"{path}.ppm")


def saved(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def tool(data: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


# JPEG: segments are (marker, bytes with length), a scan's data lie behind its header.
def segments(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 2
    while data[at + 1] != 0xD9:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        while marker == 0xDA and not (data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))):
            end += 1
        found.append((marker, data[at:end]))
        at = end
    return found


def joined(parts) -> bytes:
    return b"\xff\xd8" + b"".join(part for _, part in parts) + b"\xff\xd9"


def jpeg_files() -> None:
    options = dict(quality=90, optimize=True)
    plain = saved(RGB, "JPEG", subsampling=0, **options)
    write("jpeg_444.jpg", plain)
    write("jpeg_422.jpg", saved(RGB, "JPEG", subsampling=1, **options))
    write("jpeg_420.jpg", saved(RGB, "JPEG", subsampling=2, **options))
    write("jpeg_grey.jpg", saved(RGB.convert("L"), "JPEG", **options))
    progressive = saved(RGB, "JPEG", progressive=True, **options)
    write("jpeg_progressive.jpg", progressive)
    exif = Image.Exif()
    exif[0x112] = 6  # turned by a quarter, which Pillow leaves to its callers
    write("jpeg_orientation.jpg", saved(RGB, "JPEG", exif=exif, **options))
    ppm = saved(RGB, "PPM")
    write("jpeg_arithmetic.jpg", tool(ppm, "cjpeg", "-quality", "90", "-arithmetic"))
    write("jpeg_arithmetic_progressive.jpg",
          tool(ppm, "cjpeg", "-quality", "90", "-arithmetic", "-progressive"))
    cmyk = saved(RGB.convert("CMYK"), "JPEG", **options)
    write("jpeg_cmyk_adobe.jpg", cmyk)
    write("jpeg_cmyk.jpg", joined(s for s in segments(cmyk) if s[0] != 0xEE))
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
    ycck = [(m, adobe + b"\2" if m == 0xEE else part) for m, part in segments(cmyk)]
    write("jpeg_ycck.jpg", joined(ycck))
    frame = segments(saved(RGB, "JPEG", quality=90))
    write("jpeg_without_huffman.jpg", joined(s for s in frame if s[0] != 0xC4))  # of Motion JPEG
    no_marker = [s for s in segments(plain) if s[0] != 0xE0]
    write("jpeg_rgb_adobe.jpg", joined([(0xEE, adobe + b"\0"), *no_marker]))

    def renamed(marker, part, ids=b"RGB"):
        part, first, step = bytearray(part), {0xC0: 10, 0xDA: 5}.get(marker, 0), 3 if marker == 0xC0 else 2
        for i in range(3 if first else 0):
            part[first + i * step] = ids[i]
        return marker, bytes(part)

    write("jpeg_rgb_by_names.jpg", joined(renamed(*s) for s in no_marker))
    write("jpeg_bytes_between.jpg", joined([*segments(plain)[:-1], (0, b"between"), segments(plain)[-1]]))
    write("jpeg_bytes_behind.jpg", plain + b"behind")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as scans:
        scans.write("0; 1; 2;\n")
        scans.flush()
        parts = segments(tool(plain, "jpegtran", "-scans", scans.name))
    write("jpeg_three_scans.jpg", joined(parts))
    last = max(i for i, s in enumerate(parts) if s[0] == 0xDA)
    write("jpeg_two_scans_of_three.jpg", joined(parts[:last]), "component 3 has no scan")
    parts = segments(progressive)  # the first scan holds the DC coefficients of all
    first = min(i for i, s in enumerate(parts) if s[0] == 0xDA)
    write("jpeg_progressive_without_dc.jpg", joined(parts[:first] + parts[first + 1:]), "has no scan")
    write("jpeg_no_scan.jpg", joined(s for s in segments(plain) if s[0] != 0xDA), "cannot be decoded")
    write("jpeg_scan_ends_early.jpg", plain[:-40] + plain[-2:], "premature end of data segment")
    write("jpeg_12_bits.jpg", plain.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), "12")
    restarts = tool(ppm, "cjpeg", "-quality", "90", "-optimize", "-restart", "1B", "-sample", "1x1")
    write("jpeg_restarts.jpg", restarts)
    write("jpeg_lost_restart.jpg", restarts.replace(b"\xff\xd1", b"\xff\xd5"), "Corrupt JPEG data")
    two = bytearray(plain)
    write("jpeg_two_components.jpg", joined(
        (m, p[:3] + bytes([p[3] - 3]) + p[4:9] + b"\2" + p[10:16]) if m == 0xC0 else
        (m, b"\xff\xda\0\x0a\2" + p[5:9] + p[11:]) if m == 0xDA else (m, p)
        for m, p in segments(bytes(two))), "2 components")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(depth: int, kind: int, rows, *before: bytes, w: int = W, first: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", w, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9)
    return (b"\x89PNG\r\n\x1a\n" + first + chunk(b"IHDR", header) + b"".join(before) +
            chunk(b"IDAT", data) + chunk(b"IEND", b""))


def bits(values, depth: int) -> list[bytes]:
    """Rows of numbers below 2^depth, packed from the highest bit on."""
    rows = []
    for row in values:
        text = "".join(format(v, f"0{depth}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
    return rows


def png_files() -> None:
    grey = PIXELS[..., 0]
    for depth in (1, 2, 4):
        write(f"png_grey{depth}.png", png(depth, 0, bits(grey >> (8 - depth), depth)))
        colours = chunk(b"PLTE", bytes(range(40, 40 + 3 * 2**depth)))
        write(f"png_palette{depth}.png", png(depth, 3, bits(grey >> (8 - depth), depth), colours))
    short = chunk(b"PLTE", bytes([200, 100, 50, 30, 60, 90]))
    write("png_palette4_of_2.png", png(4, 3, bits(grey >> 4, 4), short))
    write("png_palette8_of_2.png", png(8, 3, grey, short))
    write("png_palette_transparent.png", png(8, 3, grey % 2, short, chunk(b"tRNS", b"\0\x80")))
    write("png_colour_transparent.png",
          png(8, 2, PIXELS.reshape(H, -1), chunk(b"tRNS", b"\0\xfa\0\x1e\0\x28")))
    write("png_grey_transparent.png", png(8, 0, grey, chunk(b"tRNS", b"\0\x08")))
    alpha = np.concatenate([PIXELS, (x * 20)[..., None].astype(np.uint8)], -1)
    write("png_rgba.png", png(8, 6, alpha.reshape(H, -1)))
    write("png_grey_alpha.png", png(8, 4, alpha[..., 2:].reshape(H, -1)))
    wide = (PIXELS.astype(int) * 257 + 77).clip(0, 65535).astype(">u2")
    write("png_rgb16.png", png(16, 2, [row.tobytes() for row in wide]))
    write("png_grey16.png", png(16, 0, [row.tobytes() for row in wide[..., 0]]))
    write("png_gamma.png", png(8, 0, grey, chunk(b"gAMA", struct.pack(">I", 100000))))
    rows = []
    for top, left, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
                                   (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)):
        rows += [row.tobytes() for row in PIXELS[top::down, left::right] if row.size]
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    write("png_interlaced.png",
          b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 1)) +
          chunk(b"IDAT", data) + chunk(b"IEND", b""))
    write("png_animation.png", saved(RGB, "PNG", save_all=True, append_images=[RGB.rotate(180)]))
    write("png_cgbi.png", png(8, 2, PIXELS.reshape(H, -1), first=chunk(b"CgBI", b"\x50\0\x20\x06")),
          "CgBI")
    write("png_too_few_rows.png", png(8, 0, grey).replace(
        chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 0, 0, 0, 0)),
        chunk(b"IHDR", struct.pack(">IIBBBBB", W, H + 1, 8, 0, 0, 0, 0))), "cannot be decoded")


def webp_files() -> None:
    alpha = RGB.copy()
    alpha.putalpha(Image.fromarray((x * 20).astype(np.uint8)))
    for name, options in (("lossy", dict(quality=90)), ("lossless", dict(lossless=True, exact=True))):
        write(f"webp_{name}.webp", saved(RGB, "WEBP", **options))
        write(f"webp_{name}_alpha.webp", saved(alpha, "WEBP", **options))
    frames = dict(save_all=True, append_images=[RGB.rotate(180)], lossless=True)
    animation = saved(RGB, "WEBP", **frames)
    write("webp_animation.webp", animation)
    write("webp_animation_cut.webp", animation[:-20], "cut short")
    write("webp_lossy_cut.webp", saved(RGB, "WEBP", quality=90)[:-2], "cut short")


def bmp(w, h, depth, pixels, compression=0, palette=b"", extra=b"", size=40, colours=0) -> bytes:
    offset = 14 + size + len(extra if size == 40 else b"") + len(palette)
    if size == 12:
        header = struct.pack("<IHHHH", 12, w, h, 1, depth)
    else:
        header = struct.pack("<IiiHHIIiiII", size, w, h, 1, depth, compression, len(pixels), 0, 0, colours, 0)
        header += extra + bytes(max(0, size - 40 - len(extra)))
    return struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + header + palette + pixels


def padded(rows) -> bytes:
    return b"".join(bytes(row) + bytes(-len(row) % 4) for row in reversed(list(rows)))


def bmp_files() -> None:
    numbers = np.asarray(PALETTED).astype(int)
    three = np.frombuffer(bytes(PALETTED.getpalette()), np.uint8).reshape(-1, 3)[:, ::-1]
    four = b"".join(bytes(colour) + b"\0" for colour in three)
    for depth in (1, 4, 8):
        rows = bits(numbers % 2**depth, depth)
        write(f"bmp_{depth}.bmp", bmp(W, H, depth, padded(rows), palette=four[:4 * 2**depth].ljust(4 * 2**depth, b"\x11")))
    write("bmp_8_of_2.bmp", bmp(W, H, 8, padded(numbers.astype(np.uint8)), palette=four[:8], colours=2))
    write("bmp_4_of_3.bmp", bmp(W, H, 4, padded(bits(numbers, 4)), palette=four[:12], colours=3))
    # The last of all 256 colours are used, too.
    every = bytes(range(256)) * 3
    write("bmp_os2.bmp", bmp(W, H, 8, padded((255 - numbers).astype(np.uint8)), palette=every, size=12))
    write("bmp_24.bmp", bmp(W, H, 24, padded(PIXELS[..., ::-1].reshape(H, -1))))
    write("bmp_24_top_first.bmp", bmp(W, -H, 24, padded(PIXELS[::-1, :, ::-1].reshape(H, -1))))
    r, g, b = (PIXELS[..., i].astype(np.uint32) for i in range(3))
    x555 = (r >> 3 << 10 | g >> 3 << 5 | b >> 3).astype("<u2")
    write("bmp_16.bmp", bmp(W, H, 16, padded(row.tobytes() for row in x555)))
    x565 = (r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype("<u2")
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    write("bmp_565.bmp", bmp(W, H, 16, padded(row.tobytes() for row in x565), 3, extra=masks))
    x32 = (r << 16 | g << 8 | b | 0x55000000).astype("<u4")
    write("bmp_32.bmp", bmp(W, H, 32, padded(row.tobytes() for row in x32)))
    reverse = (b << 16 | g << 8 | r | 0x55000000).astype("<u4")
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    for size in (56, 108, 124):
        write(f"bmp_32_header{size}.bmp",
              bmp(W, H, 32, padded(row.tobytes() for row in reverse), 3, extra=masks, size=size))
    runs = b"\5\1\x08\2\0\0" + b"\0\3\1\2\3\0\x0a\4\0\0" + b"\x0d\5\0\0" * 6 + b"\x0d\6\0\1"
    write("bmp_rle8.bmp", bmp(W, H, 8, runs, 1, palette=four.ljust(1024, b"\0")))
    halves = b"\5\x12\x08\x34\0\0" + b"\0\5\x12\x34\x50\0\x08\x67\0\0" + b"\x0d\x89\0\0" * 6 + b"\x0d\xab\0\1"
    write("bmp_rle4.bmp", bmp(W, H, 4, halves, 2, palette=four.ljust(64, b"\0")))
    write("bmp_rle8_leaves.bmp", bmp(W, H, 8, b"\x0a\1\0\4\1\2\3\4" + runs, 1, palette=four.ljust(1024, b"\0")),
          "leave the picture")
    write("bmp_pixels_in_palette.bmp",
          bmp(W, H, 8, padded(numbers.astype(np.uint8)), palette=four[:16], colours=200), "within its palette")
    write("bmp_mask_with_gaps.bmp", bmp(W, H, 16, padded(row.tobytes() for row in x565), 3,
                                        extra=struct.pack("<III", 0xF801, 0x7E0, 0x1E)), "gaps")
    write("bmp_jpeg_inside.bmp", bmp(W, H, 24, bytes(400), 4), "compression 4")


def gif_files() -> None:
    write("gif.gif", saved(PALETTED, "GIF", interlace=0))
    write("gif_interlaced.gif", saved(PALETTED, "GIF", interlace=1))
    write("gif_transparent.gif", saved(PALETTED, "GIF", transparency=3, interlace=0))
    other = PALETTED.transpose(Image.Transpose.ROTATE_180)
    write("gif_animation.gif", saved(PALETTED, "GIF", save_all=True, append_images=[other]))
    palette = bytes(PALETTED.getpalette()).ljust(48, b"\0")

    def gif(colours: bytes, left: int, top: int, w: int, h: int, values, extension: bytes = b"") -> bytes:
        # Codes of 9 bits, cleared before the table grows.
        codes, text = [], ""
        for i, value in enumerate(values):
            codes += ([256] if i % 100 == 0 else []) + [int(value)]
        for code in codes + [257]:
            text = format(code, "09b") + text
        text = text.zfill(-(-len(text) // 8) * 8)
        data = int(text, 2).to_bytes(len(text) // 8, "little")
        blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
        size = (len(colours) // 3).bit_length() - 2
        return (b"GIF89a" + struct.pack("<HHBBB", W, H, 0x80 | size, 5, 0) + colours + extension +
                b"," + struct.pack("<HHHHB", left, top, w, h, 0) + b"\x08" + blocks + b"\0;")

    part = np.asarray(PALETTED)[2:7, 1:9].ravel()
    control = b"!\xf9\4\1\0\0\2\0"
    write("gif_part.gif", gif(palette, 1, 2, 8, 5, part))
    write("gif_part_transparent.gif", gif(palette, 1, 2, 8, 5, part, control))
    write("gif_beyond_its_palette.gif", gif(palette[:12], 0, 0, W, H, np.asarray(PALETTED).ravel()))
    write("gif_beyond_its_canvas.gif", gif(palette, 8, 6, 8, 5, part))
    write("gif_pixels_missing.gif", gif(palette, 0, 0, W, H, part), "pixels are missing")


def pnm_files() -> None:
    grey = PIXELS[..., 0]
    write("pnm_p4.pbm", b"P4\n13 9\n" + b"".join(bits(grey // 128, 1)))
    write("pnm_p5_100.pgm", b"P5 # grey\n13 9 100\n" + (grey * 100.0 / 255).astype(np.uint8).tobytes())
    write("pnm_p6_100.pnm", b"P6 13 9 100\n" + (PIXELS * 100.0 / 255).astype(np.uint8).tobytes())
    write("pnm_p6_1.pnm", b"P6\n13\n9\n1\n" + (PIXELS // 128).tobytes())
    write("pnm_p5_beyond.pgm", b"P5 13 9 99\n" + grey.tobytes())
    wide = (PIXELS.astype(int) * 257).astype(">u2")
    write("pnm_p6_65535.pnm", b"P6 13 9 65535\n" + wide.tobytes())
    write("pnm_p6_1000.pnm", b"P6 13 9 1000\n" + (wide // 66).astype(">u2").tobytes())
    write("pnm_p5_65535.pgm", b"P5 13 9 65535\n" + wide[..., 0].tobytes())
    write("pnm_p3.pnm", b"P3 1 1 255 1 2 3\n", "plain PPM")
    write("pnm_p5_70000.pgm", b"P5 13 9 70000\n" + wide.tobytes(), "greatest value 70000")


def tga_files() -> None:
    for name, image in (("24", RGB), ("32", RGB.convert("RGBA")), ("grey", RGB.convert("L")),
                        ("palette", PALETTED)):
        write(f"tga_{name}.tga", saved(image, "TGA"))
        write(f"tga_{name}_runs.tga", saved(image, "TGA", compression="tga_rle"))
    plain = saved(RGB, "TGA")
    write("tga_from_the_right.tga", plain[:17] + b"\x10" + plain[18:])
    write("tga_from_the_top.tga", plain[:17] + b"\x20" + plain[18:])
    for name, first, colours in (("from_2", 2, 2), ("of_2", 0, 2)):
        write(f"tga_palette_{name}.tga",
              struct.pack("<BBBHHBHHHHBB", 0, 1, 1, first, colours, 24, 0, 0, W, H, 8, 0) +
              bytes([200, 100, 50, 30, 60, 90]) + (PIXELS[..., 0] % 4).tobytes())


for make in (jpeg_files, png_files, webp_files, bmp_files, gif_files, pnm_files, tga_files):
    make()
