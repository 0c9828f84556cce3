#!/usr/bin/env python3
"""Makes the photo and the audio file of the demo: drawn and synthesised here, so nobody else's. The same bytes every time."""

import math
import pathlib
import struct
import wave
import zlib

HERE = pathlib.Path(__file__).parent


def photo(path: pathlib.Path, width: int = 160, height: int = 120) -> None:
    """A kitchen window in the morning: sky, sun, hills, a sill. An 8-bit RGB PNG."""

    def pixel(x: int, y: int) -> tuple[int, int, int]:
        if x < 6 or x >= width - 6 or y < 6 or abs(x - width // 2) < 2 or y >= 104:
            return (236, 228, 214) if y < 104 else (150 + x % 16, 106, 68)
        if y > 72 + 9 * math.sin(x / 19.0):
            return (70, 140 - y // 3, 82)
        if (x - 112) ** 2 + (y - 38) ** 2 < 16**2:
            return (255, 222, 120)
        return (120 + y, 170 + y // 2, 235 - y // 4)

    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    )


def chime(path: pathlib.Path, rate: int = 8000) -> None:
    """A doorbell of two notes, 0.9 s. Mono, 8 kHz, 8-bit PCM."""
    samples = bytearray()
    for frequency, seconds in ((659.26, 0.4), (523.25, 0.5)):
        for n in range(int(rate * seconds)):
            time = n / rate
            tone = math.sin(2 * math.pi * frequency * time) + 0.3 * math.sin(4 * math.pi * frequency * time)
            samples.append(128 + round(80 * math.exp(-6 * time) * tone))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(rate)
        out.writeframes(bytes(samples))


photo(HERE / "kitchen.png")
chime(HERE / "chime.wav")
