"""Settings for people: what they may be, and what they are."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from .settings import Settings
from .units import DAY, GB, GIB, HOUR, KB, KIB, MB, MIB, MINUTE


def allowed(name: str) -> str:
    """The allowed values of a setting, for people."""
    info = Settings.model_fields[name]
    if get_origin(info.annotation) is Literal:
        return " | ".join(get_args(info.annotation))
    low = next((item.ge for item in info.metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in info.metadata if isinstance(item, Le)), None)
    if low is None or high is None:
        extra = info.json_schema_extra
        return str(extra["form"]) if isinstance(extra, dict) else ""
    whole = " (whole number)" if info.annotation is int and "bytes" not in info.metadata else ""
    return f"{_human(low, info)} .. {_human(high, info)}{whole}"


def show(name: str, value: Any) -> str:
    """A value for people: sizes and durations with their unit, secrets and passwords masked, empty as it is."""
    if value and "secret" in Settings.model_fields[name].metadata:
        return "***"
    return mask(str(_human(value, Settings.model_fields[name])))


def mask(text: str) -> str:
    """Hide the password of an address such as a database URL."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    if not parts.password:
        return text
    who, _, where = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{who.partition(':')[0]}:***@{where}"))


def _human(value: Any, info: FieldInfo) -> str:
    if "bytes" in info.metadata:
        return _with_unit(
            value, (("TB", 10**12), ("GiB", GIB), ("GB", GB), ("MiB", MIB), ("MB", MB), ("KiB", KIB), ("kB", KB)), "B"
        )
    if "seconds" in info.metadata:
        return _with_unit(value, (("d", DAY), ("h", HOUR), ("min", MINUTE)), "s")
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _with_unit(value: float, units: tuple[tuple[str, int], ...], smallest: str) -> str:
    for unit, size in units:
        if value and value % size == 0:
            return f"{value // size:g} {unit}"
    return f"{value:g} {smallest}"
