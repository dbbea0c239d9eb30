"""The pictures a simulated camera sees: a scene per channel as a pure function of time, with burned-in vehicle name,
channel, UTC clock and time strip. Cheap to draw (1–3 ms at 720p): landscapes are painted once, frames are pasted."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import io
import math
import random

from PIL import Image, ImageDraw, ImageFont

from .timecode import strip_height, strip_image

Size = tuple[int, int]
_Colour = tuple[int, int, int]


class View(enum.Enum):
    """Where a camera looks."""

    AHEAD = "ahead"
    DRIVER = "driver"
    SIDE = "side"
    REAR = "rear"


def view_of(channel: int) -> View:
    """The view of a logical channel: 1 ahead, 2 driver, 3 side, 4 rear, and so on; 0x64 ADAS looks ahead, 0x65 DSM at
    the driver."""
    special = {0x64: View.AHEAD, 0x65: View.DRIVER}
    return special.get(channel, list(View)[(channel - 1) % len(View)])


def draw(view: View, size: Size, timestamp_ms: int, title: str, clock: str | None = None) -> Image.Image:
    """One picture, mode RGB. `clock` replaces the UTC time drawn beside the title."""
    seconds = timestamp_ms / 1000.0
    picture = _DRAWERS[view](size, seconds)
    _burn_in(picture, timestamp_ms, title, clock)
    return picture


def jpeg(view: View, size: Size, timestamp_ms: int, title: str, quality: int) -> bytes:
    """One picture as JPEG; `quality` 1 best .. 10 as in 0x8801."""
    buffer = io.BytesIO()
    draw(view, size, timestamp_ms, title).save(buffer, "JPEG", quality=max(30, 98 - 6 * max(1, quality)))
    return buffer.getvalue()


def _burn_in(picture: Image.Image, timestamp_ms: int, title: str, clock: str | None) -> None:
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    font = _font(max(11, height // 22))
    if clock is None:
        moment = dt.datetime.fromtimestamp(timestamp_ms / 1000, dt.UTC)
        clock = f"{moment:%Y-%m-%d %H:%M:%S}.{timestamp_ms % 1000 // 100} UTC"
    margin = height // 40
    line = height // 18
    pen.rectangle((0, 0, width, line + margin), fill=(0, 0, 0))
    pen.text((margin, margin // 2), title, font=font, fill=(255, 255, 255))
    pen.text((width - margin, margin // 2), clock, font=font, fill=(255, 230, 120), anchor="ra")
    picture.paste(strip_image(timestamp_ms, width, height), (0, height - strip_height(height)))


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=16)
def _landscape(size: Size, seed: int) -> Image.Image:
    """Sky and houses, three widths long, whose first width repeats at the end so that it wraps without a seam."""
    width, height = size
    chance = random.Random(seed)
    strip = Image.new("RGB", (3 * width, height))
    pen = ImageDraw.Draw(strip)
    for y in range(height):
        shade = y / height
        pen.line((0, y, 3 * width, y), fill=(int(110 + 90 * shade), int(160 + 60 * shade), int(215 + 20 * shade)))
    x = 0
    while x < 2 * width:
        wide = chance.randint(width // 14, width // 6)
        top = height - chance.randint(height // 5, height * 3 // 4)
        tone = chance.randint(60, 150)
        pen.rectangle((x, top, x + wide, height), fill=(tone, tone - 8, tone - chance.randint(0, 30)))
        step = max(6, width // 60)
        for window_y in range(top + step, height - step, 2 * step):
            for window_x in range(x + step // 2, x + wide - step, 2 * step):
                lit = chance.random() < 0.4
                pen.rectangle(
                    (window_x, window_y, window_x + step // 2, window_y + step),
                    fill=(240, 220, 140) if lit else (50, 60, 75),
                )
        x += wide + chance.randint(0, width // 20)
    strip.paste(strip.crop((0, 0, width, height)), (2 * width, 0))
    return strip


def _window(size: Size, seed: int, offset: float) -> Image.Image:
    """The part of a landscape visible at a running offset in pixels."""
    x = int(offset) % (2 * size[0])
    return _landscape(size, seed).crop((x, 0, x + size[0], size[1]))


def _road(size: Size, seconds: float, seed: int, direction: int) -> Image.Image:
    """A street in perspective: lane marks run towards (or away from) the viewer, another car sways ahead."""
    width, height = size
    horizon = height * 11 // 20
    picture = Image.new("RGB", size, (92, 120, 74))
    picture.paste(_window((width, horizon), seed, 30 * math.sin(seconds / 9) + width / 2), (0, 0))
    pen = ImageDraw.Draw(picture)
    middle = width / 2 + width / 40 * math.sin(seconds / 5)
    depth = height - horizon
    pen.polygon(
        [
            (middle - width / 30, horizon),
            (middle + width / 30, horizon),
            (width * 1.15, height),
            (-width * 0.15, height),
        ],
        fill=(68, 68, 72),
    )
    phase = seconds * 1.6 * direction % 1
    for number in range(9):
        near, far = ((number + phase) / 9) ** 2.2, max(0.0, (number + phase - 0.45) / 9) ** 2.2
        for lane in (-0.32, 0.32):
            pen.polygon(_mark(middle, horizon, depth, width, lane, far, near), fill=(235, 235, 225))
    _car(pen, width, horizon, depth, middle, seconds)
    return picture


def _mark(
    middle: float, horizon: int, depth: int, width: int, lane: float, far: float, near: float
) -> list[tuple[float, float]]:
    def edge(share: float, side: float) -> tuple[float, float]:
        half = width / 30 + (width * 0.62) * share
        return middle + lane * half + side * half * 0.02, horizon + depth * share

    return [edge(far, -1), edge(far, 1), edge(near, 1), edge(near, -1)]


def _car(pen: ImageDraw.ImageDraw, width: int, horizon: int, depth: int, middle: float, seconds: float) -> None:
    share = 0.22 + 0.12 * math.sin(seconds / 3.7)
    half = width * (0.03 + 0.16 * share)
    x, y = middle + half * 0.6 * math.sin(seconds / 2.3), horizon + depth * share
    braking = math.sin(seconds / 3.7 + 1.2) > 0.5
    light: _Colour = (255, 40, 30) if braking else (140, 20, 20)
    pen.rectangle((x - half, y - half * 1.1, x + half, y), fill=(34, 66, 132))
    pen.rectangle((x - half * 0.75, y - half * 1.6, x + half * 0.75, y - half * 0.95), fill=(22, 30, 44))
    for side in (-0.8, 0.8):
        pen.ellipse(_around(x + side * half, y - half * 0.7, half * 0.16), fill=light)


def _around(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


def _ahead(size: Size, seconds: float) -> Image.Image:
    return _road(size, seconds, 11, 1)


def _rear(size: Size, seconds: float) -> Image.Image:
    return _road(size, seconds, 47, -1)


def _side(size: Size, seconds: float) -> Image.Image:
    width, height = size
    ground = height * 3 // 4
    picture = Image.new("RGB", size, (74, 76, 80))
    picture.paste(_window((width, ground), 23, seconds * width / 6), (0, 0))
    pen = ImageDraw.Draw(picture)
    for number in range(-1, 5):
        x = (number + 1 - seconds % 1) * width / 4
        pen.rectangle((x, ground + height // 10, x + width / 9, ground + height // 8), fill=(230, 230, 220))
    return picture


def _driver(size: Size, seconds: float) -> Image.Image:
    width, height = size
    picture = Image.new("RGB", size, (38, 36, 42))
    glass = (width // 3, height // 2)
    for index, left in enumerate((width // 20, width - width // 20 - glass[0])):
        picture.paste(_window(glass, 31 + index, seconds * width / 8), (left, height // 8))
    pen = ImageDraw.Draw(picture)
    nod = height * (0.012 * math.sin(seconds * 1.7) + (0.05 if seconds % 20 > 18.5 else 0))
    x, y, head = width / 2 + width * 0.01 * math.sin(seconds), height * 0.4 + nod, height * 0.15
    pen.ellipse((x - head * 2, y + head * 1.2, x + head * 2, height * 1.3), fill=(48, 74, 110))
    pen.ellipse((x - head * 0.8, y - head, x + head * 0.8, y + head), fill=(214, 170, 140))
    pen.pieslice((x - head * 0.84, y - head * 1.1, x + head * 0.84, y + head * 0.7), 180, 360, fill=(60, 44, 36))
    if seconds % 4 > 0.25:
        for side in (-0.32, 0.32):
            pen.ellipse(_around(x + side * head, y, head * 0.09), fill=(30, 30, 34))
    pen.arc(
        (width * 0.3, height * 0.72, width * 0.7, height * 1.5), 180, 360, fill=(18, 18, 20), width=max(4, height // 26)
    )
    return picture


_DRAWERS = {View.AHEAD: _ahead, View.DRIVER: _driver, View.SIDE: _side, View.REAR: _rear}
