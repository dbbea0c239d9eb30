"""A camera inside the test process: feeds a node's live service as the gateway does."""

from __future__ import annotations

import time
from fractions import Fraction

import av
from PIL import Image

from inside import InsideHouse
from wayframe.protocols.device import MediaExpected, MediaKind
from wayframe.services.live import LiveSession

FPS = 15


def encoded(frames: int) -> list[tuple[bytes, bool]]:
    """Annex B access units with a key frame every second."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.gop_size, encoder.max_b_frames = FPS, 0
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"repeat-headers=1:keyint={FPS}"}
    units = []
    for index in range(frames):
        frame = av.VideoFrame.from_image(Image.new("RGB", (160, 96), (index * 3 % 256, 90, 30)))
        frame.pts = index
        units += [(bytes(packet), bool(packet.is_keyframe)) for packet in encoder.encode(frame)]
    return units


class Camera:
    """Feeds a live stream into the node, as the gateway does."""

    def __init__(self, house: InsideHouse, device: int, kind: str = "hls", seconds: int = 8) -> None:
        self.house = house
        self.units = encoded(FPS * seconds)
        self.sent = 0
        self.began = time.time()
        self.session = house.run(self._begin(device, kind))
        self.path = f"/media/{self.session.uuid}"

    async def _begin(self, device: int, kind: str) -> LiveSession:
        live, entry = self.house.node.services.live, self.house.node.services.directory.device(device)
        assert entry is not None
        session = live.begin(entry, MediaExpected(1, MediaKind.LIVE, b"", 2, "stream"))
        session.kind = kind
        session.attach(1, lambda code, reason: None, lambda news, position: None)
        return session

    def send(self, frames: int) -> None:
        """Send the next pictures."""
        self.house.run(self._send(frames))

    async def _send(self, frames: int) -> None:
        for data, key in self.units[self.sent : self.sent + frames]:
            # Sound is waited for over the first two seconds of arrivals, so these pass as they would.
            self.session.video("h264", data, key, self.sent * 1000 // FPS, self.began + self.sent / FPS)
            self.sent += 1

    async def end(self) -> None:
        """The device stops."""
        self.session.stop("the test is over")
