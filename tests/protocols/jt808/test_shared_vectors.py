"""All vectors of ../shared/vectors/jt808.json: frames, bodies, streams, sequences, damage."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from wayframe.protocols.device import DeviceProfile, Endpoints, Reports
from wayframe.protocols.jt808 import Jt808Session
from wayframe.protocols.jt808.assembly import RESEND_AFTER_S, Assembler
from wayframe.protocols.jt808.frames import (
    Frame,
    FrameSplitter,
    checksum,
    decode_frame,
    encode_frame,
    escape,
    unescape,
)
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.location import Location, LocationBatch
from wayframe.protocols.jt808.mapping import ALARM_BITS, Moment, map_batch, map_location, map_report
from wayframe.protocols.jt808.message_parameters import MESSAGE_PARAMETERS
from wayframe.protocols.jt808.messages import GeneralResponse, Resend, decode_body
from wayframe.protocols.jt808.terminal_parameters import PARAMETERS, Kind, TerminalParameter

pytestmark = pytest.mark.shared

NOW = 1_790_000_000.0
MOMENT = Moment(NOW, 8 * 3600)


@pytest.fixture(scope="session")
def document(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "vectors" / "jt808.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def names(shared: Path) -> dict[str, list[Any]]:
    return json.loads((shared / "reference" / "flespi-names.json").read_text("utf-8"))["parameters"]


def frames_of(*chunks: bytes) -> list[Frame]:
    splitter = FrameSplitter()
    return [decode_frame(raw) for chunk in chunks for raw in splitter.feed(chunk)]


def one(hex_text: str) -> Frame:
    (frame,) = frames_of(bytes.fromhex(hex_text))
    return frame


def again(frame: Frame, body: bytes | None = None) -> bytes:
    header = frame.header
    return encode_frame(
        header.message_id,
        frame.body if body is None else body,
        layout=header.layout,
        number=header.number,
        serial=header.serial,
        package=header.package,
        version=header.version,
    )


# --- comparing our records with the fields of a vector ---------------------------------------------------------------

SAME = {
    "reply_serial": "reply_serial", "result": "result", "province": "province", "city": "city", "maker": "maker",
    "model": "model", "terminal_id": "terminal_id", "plate_color": "plate_color", "plate": "plate",
    "imei": "imei", "software": "software", "iccid": "iccid", "hardware": "hardware", "firmware": "firmware",
    "gnss": "gnss", "type": "type", "interval_s": "interval_s", "duration_s": "duration_s",
    "alarm_serial": "alarm_serial", "status": "status", "alarm": "alarm", "direction": "direction",
    "media_id": "media_id", "event": "event", "channel": "channel", "command": "command", "save": "save",
    "resolution": "resolution", "quality": "quality", "brightness": "brightness", "contrast": "contrast",
    "saturation": "saturation", "chroma": "chroma", "delete": "delete", "seconds": "seconds", "flags": "flags",
    "text": "text", "name": "name", "licence": "licence", "issuer": "issuer", "valid_until": "valid_until",
    "id_number": "id_number", "format": "format", "reply_id": "reply_id", "auth_code": "code", "args": "arguments",
    "comm": "network", "alarm_types": "types", "latitude_raw": "latitude", "longitude_raw": "longitude",
    "altitude_m": "altitude", "time_bcd": "time", "text_type": "type", "card_result": "result",
    "sample_rate": "rate", "media_type": "type", "original_serial": "first_serial",
}  # fmt: skip


def bcd(local: str) -> str:
    return re.sub(r"\D", "", local)[2:] if local else ""


def check_location(found: Location, body: dict[str, Any]) -> None:
    for key in ("alarm", "status", "latitude_raw", "longitude_raw", "altitude_m", "direction"):
        assert getattr(found, SAME[key]) == body[key]
    assert found.speed / 10 == body["speed_kmh"]
    assert found.latitude_degrees == pytest.approx(body["latitude"])
    assert found.longitude_degrees == pytest.approx(body["longitude"])
    if body.get("time_local"):
        assert found.time == bcd(body["time_local"])
    items = [item for item in body.get("items", []) if "id" in item]
    assert [(f"0x{item.id:02x}", len(item.raw), item.raw.hex()) for item in found.items] == [
        (item["id"], item["length"], item["raw"]) for item in items
    ]
    mapped = map_location(found, one_layout, MOMENT)
    if "epoch_utc8" in body and body["epoch_utc8"] <= NOW:
        assert mapped.messages[0]["timestamp"] == body["epoch_utc8"]
    status = body["status_decoded"]
    assert mapped.messages[0]["engine.ignition.status"] == status["acc_on"]
    assert mapped.messages[0]["position.valid"] == status["fixed"]
    assert mapped.messages[0]["can.central.lock.status"] == status["doors_locked"]
    assert mapped.messages[0]["custom.jt808.load"] == status["load"]
    assert mapped.messages[0]["vehicle.oil.circuit.status"] is not status["oil_cut"]
    assert sum(name in mapped.messages[0] for name in ALARM_BITS.values()) >= len(body["alarm_names"])
    for item in items:
        check_item(mapped.messages, item)


ITEM_VALUES = {
    "mileage_km": "vehicle.mileage",
    "fuel_l": "fuel.volume",
    "recorder_speed_kmh": "can.tacho.position.speed",
    "compartment_temp_c": "cabin.inside.temperature",
    "signal_strength": "gsm.signal.quality",
    "satellites": "position.satellites",
    "vehicle_signals": "vehicle.signal.status.bitmask",
    "io_status": "din",
    "ad0": "ain.1",
    "ad1": "ain.2",
    "video_alarm": "video.alarm.bitmask",
    "storage_fault": "memory.fault.status.bitmask",
    "abnormal_driving": "driving.alarm.bitmask",
    "fatigue_level": "dsm.fatigue.degree",
    "segment_id": "custom.jt808.segment.id",
}


def check_item(messages: tuple[dict[str, object], ...], item: dict[str, Any]) -> None:
    value = item.get("value")
    if value is None:
        raw = [v for name, v in messages[0].items() if name.startswith(f"custom.jt808.{item['id']}")]
        assert item["raw"] in raw
        return
    for key, expected in value.items():
        if key in ITEM_VALUES:
            assert messages[0][ITEM_VALUES[key]] == expected
        elif key == "video_loss_channels":
            assert all(messages[0][f"video.loss.alarm.{channel}"] is True for channel in expected)
        elif key == "video_cover_channels":
            assert all(messages[0][f"video.blind.alarm.{channel}"] is True for channel in expected)
        elif key in ("adas", "dsm", "bsd"):
            found = [m for m in messages if m.get("alarm.id") == str(expected["alarm_id"])]
            assert found and found[0]["event.enum"] == expected["type"]


one_layout = one("7e000200000138001380000001a97e").header.layout


def check_body(found: Any, body: dict[str, Any]) -> None:
    """Every field of the vector must be in our record."""
    if isinstance(found, Location):
        check_location(found, body)
        return
    for key, expected in body.items():
        if key == "location":
            location = found.location
            check_location(location, expected)
        elif key == "locations":
            for ours, theirs in zip(found.locations, expected, strict=True):
                check_location(ours, theirs)
        elif key == "params":
            check_parameters(getattr(found, "content", found).parameters, expected)
        elif key == "ids":
            assert [f"0x{id:04x}" for id in found.ids] == expected
        elif key in ("retransmit", "packets"):
            assert list(getattr(found, "missing", ()) or found.indexes) == expected
        elif key == "media_ids":
            assert list(found.media_ids) == expected
        elif key == "items":
            for ours, theirs in zip(found.items, expected, strict=True):
                check_body(ours, theirs)
        elif key == "frames":
            assert [{"id": f.id, "data": f.data.hex()} for f in found.frames] == expected
        elif key in ("data_length", "data_head", "data_sha256", "data"):
            digests = {
                "data_length": len(found.data),
                "data_head": found.data[:16].hex(),
                "data_sha256": hashlib.sha256(found.data).hexdigest(),
                "data": found.data.hex(),
            }
            assert digests[key] == expected
        elif key in ("count", "retransmit_count"):
            counted = getattr(found, "content", found)
            for name in ("count", "total", "parameters", "ids", "missing", "indexes", "media_ids"):
                value = getattr(counted, name, None)
                if value is not None:
                    assert (value if isinstance(value, int) else len(value)) == expected
                    break
            else:
                raise AssertionError(f"nothing counts in {found}")
        elif key in ("time", "utc_time", "start", "end"):
            owner = getattr(found, "filter", found)
            assert getattr(owner, "time" if key == "utc_time" else key) == bcd(expected)
        elif key == "type" and isinstance(expected, str):
            assert f"0x{found.type:02x}" == expected
        elif key == "trailing":
            assert found.content.rest.hex() == expected
        elif key == "payload":
            assert found.payload.hex() == expected
        elif key == "reply_id":
            assert f"0x{found.reply_id:04x}" == expected
        else:
            owner = next(part for part in (found, getattr(found, "head", None), getattr(found, "filter", None))
                         if part is not None and hasattr(part, SAME[key]))  # fmt: skip
            assert getattr(owner, SAME[key]) == expected, key


def check_parameters(found: tuple[TerminalParameter, ...], expected: list[dict[str, Any]]) -> None:
    assert [(f"0x{p.id:04x}", len(p.raw), p.raw.hex()) for p in found] == [
        (p["id"], p["length"], p["raw"]) for p in expected
    ]
    for ours, theirs in zip(found, expected, strict=True):
        spec = PARAMETERS.get(ours.id)
        if spec is not None and "value" in theirs and ours.raw and spec.kind is not Kind.BYTES:
            known = theirs["value"]
            assert ours.value == known or str(ours.value) == str(known) or spec.kind is Kind.STRING


# --- the tests -------------------------------------------------------------------------------------------------------


def test_every_vector_decodes_to_its_fields_and_encodes_to_its_bytes(document: dict[str, Any]) -> None:
    for vector in document["vectors"]:
        frame = one(vector["hex"])
        header, expected = frame.header, vector["header"]
        assert f"0x{header.message_id:04x}" == expected["msg_id"], vector["id"]
        assert header.layout.value == vector["header_layout"]
        assert header.number.hex() == expected["phone"]
        assert (header.serial, header.body_length) == (expected["serial"], expected["body_length"])
        assert header.encryption == expected["encryption"]
        assert again(frame) == bytes.fromhex(vector["hex"]), vector["id"]
        message = decode_body(header.message_id, frame.body, header.layout)
        try:
            check_body(message, vector["body"])
        except (AssertionError, StopIteration, KeyError, AttributeError) as error:
            raise AssertionError(f"{vector['id']}: {error!r}\n{message}\n{vector['body']}") from error
        assert message.encode(header.layout) == frame.body, vector["id"]  # type: ignore[call-arg]  # one of ours


def test_every_vector_survives_cuts_glue_and_noise(document: dict[str, Any]) -> None:
    for vector in document["vectors"]:
        data = bytes.fromhex(vector["hex"])
        whole = frames_of(data)
        for cut in range(1, len(data)):
            assert frames_of(data[:cut], data[cut:]) == whole
        assert frames_of(*(data[at : at + 1] for at in range(len(data)))) == whole
        assert frames_of(data + data) == whole * 2
        assert frames_of(data[:-1] + data) == whole * 2
        assert frames_of(b"\x00\xff0A+T\r\n" + data + b"\x11\x22" + data) == whole * 2


def test_escape_vectors(document: dict[str, Any]) -> None:
    for case in document["escape"]:
        data = bytes.fromhex(case["frame_hex"])
        frame = one(case["frame_hex"])
        payload = bytes.fromhex(case["payload_hex"])
        assert frame.body.endswith(payload)
        assert again(frame) == data
        raw = unescape(data[1:-1])
        assert escape(raw) == data[1:-1]
        assert checksum(raw) == 0


def test_stream_vectors(document: dict[str, Any]) -> None:
    for case in document["stream"]:
        splitter = FrameSplitter()
        raws = [raw for chunk in case["chunks"] for raw in splitter.feed(bytes.fromhex(chunk))]
        assert [b"\x7e" + escape(raw) + b"\x7e" for raw in raws] == [bytes.fromhex(f) for f in case["expected_frames"]]
        if case["expected_errors"] is not None:
            assert splitter.bad == case["expected_errors"], case["id"]


def test_sequences_in_every_order_of_arrival(document: dict[str, Any]) -> None:
    for case in document["sequences"]:
        frames = [one(hex_text) for hex_text in case["frames"]]
        for order in (frames, frames[::-1], frames[1::2] + frames[::2]):
            check_sequence(order, case["expected"])


def check_sequence(frames: list[Frame], expected: dict[str, Any]) -> None:
    assembler = Assembler()
    done = None
    for frame in frames:
        assert assembler.acceptable(frame.header)
        done = assembler.add(frame, NOW) or done
        assembler.add(frame, NOW) if done is None else None
    if expected["missing"]:
        assert done is None
        (missing,) = assembler.tick(NOW + RESEND_AFTER_S)
        assert list(missing.indexes) == expected["missing"]
        assert missing.first_serial == expected["resend_request_original_serial"]
        body = Resend(missing.first_serial, missing.indexes).encode(frames[0].header.layout)
        assert body.hex() == expected["resend_request_body_2013"]
        return
    assert done is not None
    assert f"0x{done.message_id:04x}" == expected["msg_id"]
    assert list(done.serials) == expected["serials"]
    assert len(done.body) == expected["body_length"]
    assert hashlib.sha256(done.body).hexdigest() == expected["body_sha256"]
    check_body(decode_body(done.message_id, done.body, frames[0].header.layout), expected["body"])


RESULT_OF = {
    "encrypted": 3, "unknown_message": 3, "item_overrun": 0, "batch_short": 0, "bad_time": 0, "no_time": 0,
    "header_layout": 0, "body_variant": 0,
}  # fmt: skip
DROPPED = {"checksum", "too_short", "length_mismatch", "subpackage_numbers"}


def test_damaged_frames_are_answered_as_the_reference_says(document: dict[str, Any]) -> None:
    for case in document["malformed"]:
        data = bytes.fromhex(case["hex"])
        session = Jt808Session(Endpoints("host", 1, 2, 3), b"secret")
        session.receive(data, NOW)
        session.accept(DeviceProfile(1, "x"), NOW)
        answers = []
        for event in session.events():
            if isinstance(event, Reports):
                session.reports_stored(event.token, True, NOW)
                check_damaged_report(case, event.messages)
        for frame in frames_of(session.data_to_send()):
            if frame.header.message_id == MessageId.PLATFORM_RESPONSE:
                answers.append(GeneralResponse.decode(frame.body, frame.header.layout).result)
        assert answers == ([] if case["error"] in DROPPED else [RESULT_OF[case["error"]]]), case["id"]


def check_damaged_report(case: dict[str, Any], messages: tuple[dict[str, object], ...]) -> None:
    if case["error"] in ("bad_time", "no_time"):
        assert messages[0]["timestamp"] == NOW
        assert ("custom.jt808.time" in messages[0]) == (case["error"] == "bad_time")
    elif case["error"] == "item_overrun":
        assert "custom.jt808.rest" in messages[0]
    elif case["error"] == "batch_short":
        assert len(messages) == 1


def test_a_maker_of_11_bytes_is_read(document: dict[str, Any]) -> None:
    for case in document["malformed"]:
        if "expected_body" in case:
            frame = one(case["hex"])
            found = decode_body(frame.header.message_id, frame.body, frame.header.layout)
            check_body(found, {k: v for k, v in case["expected_body"].items() if v})


TYPES: dict[str, type | tuple[type, ...]] = {
    "number": (int, float), "boolean": bool, "string": str, "object": dict, "array": list,
}  # fmt: skip


def all_messages(document: dict[str, Any]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for case in [*document["vectors"], *document["malformed"]]:
        for frame in frames_of(bytes.fromhex(case["hex"])):
            header = frame.header
            if header.encryption or header.message_id not in set(MessageId) or header.package:
                continue
            message = decode_body(header.message_id, frame.body, header.layout)
            if isinstance(message, Location):
                found += map_location(message, header.layout, MOMENT, header.serial).messages
            elif isinstance(message, LocationBatch):
                found += map_batch(message, header.layout, MOMENT).messages
            elif (report := map_report(message, MOMENT)) is not None:
                found.append(report)
    return found


def test_every_parameter_has_a_flespi_name_and_type_or_is_custom(
    document: dict[str, Any], names: dict[str, list[Any]]
) -> None:
    listed = {name: kind for name, kind, _ in MESSAGE_PARAMETERS}
    messages = all_messages(document)
    assert len(messages) > 30
    for message in messages:
        for name, value in message.items():
            bare = re.sub(r"\.\d+$", "", name)
            if name.startswith(("custom.jt808.0x", "custom.jt808.can.")):
                continue
            kind = listed.get(bare) or listed[re.sub(r"\.\d+\.", ".", name)]
            assert isinstance(value, TYPES[kind]), (name, value)
            assert not (kind == "number" and isinstance(value, bool)), name


def test_the_list_of_parameters_agrees_with_flespi(names: dict[str, list[Any]]) -> None:
    for name, kind, unit in MESSAGE_PARAMETERS:
        if not name.startswith("custom.jt808."):
            assert names[name][0] == kind or names[name][0] == kind[0], name
            assert (names[name][1] or "") == unit, name
