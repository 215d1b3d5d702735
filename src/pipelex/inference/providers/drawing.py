"""Pictures of the simulated backend: a colour, the word SIMULATED, the first words of the prompt. Deterministic."""

from __future__ import annotations

import hashlib
import io
import textwrap
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_LONGEST_SIDE: Final = 512
_MOST_WORDS: Final = 16


def draw(prompt: str, key: str, size: tuple[int, int]) -> bytes:
    """A small PNG of the shape asked for; `key` settles its colour."""
    scale = min(1.0, _LONGEST_SIDE / max(size))
    width, height = (max(16, round(side * scale)) for side in size)
    red, green, blue = hashlib.sha256(key.encode()).digest()[:3]
    picture = Image.new("RGB", (width, height), (96 + red // 4, 96 + green // 4, 96 + blue // 4))
    pen = ImageDraw.Draw(picture)
    title, body = ImageFont.load_default(max(8, width // 11)), ImageFont.load_default(max(8, width // 24))
    pen.rectangle((4, 4, width - 5, height - 5), outline=(255, 255, 255), width=2)
    pen.text((width / 2, height * 0.35), "SIMULATED", font=title, fill=(255, 255, 255), anchor="mm")
    words = textwrap.fill(" ".join(prompt.split()[:_MOST_WORDS])[:120], 32)
    pen.multiline_text((width / 2, height * 0.55), words, font=body, fill=(255, 255, 255), anchor="ma", align="center")
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()
