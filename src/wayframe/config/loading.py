"""Reads the file and the environment, and says where a value came from."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .settings import ENV_PREFIX, Settings
from .showing import allowed, mask

DEFAULT_FILE = Path("wayframe.toml")


class SettingsError(ValueError):
    """One or more settings are wrong; the text names each, what is allowed and where it was set."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of each."""

    settings: Settings
    """The values."""
    origins: Mapping[str, str]
    """By attribute: `default`, `environment WAYFRAME_X` or `file /path/wayframe.toml:x`."""
    file: Path | None
    """The file that was read."""


def env_name(name: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + name.upper()


def nearest(word: str, names: list[str]) -> str:
    """The name most like `word`, for a mistyped key."""
    return difflib.get_close_matches(word, names, n=1, cutoff=0.0)[0]


def find_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file: `config`, WAYFRAME_CONFIG, or wayframe.toml in the working directory if there is one.

    Raises SettingsError where a named file does not exist.
    """
    named = config or (Path(environ["WAYFRAME_CONFIG"]) if environ.get("WAYFRAME_CONFIG") else None)
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    if not named.is_file():
        source = "--config" if config else "WAYFRAME_CONFIG"
        raise SettingsError(f"settings file {named} ({source}) does not exist")
    return named


def load(config: Path | None = None) -> Loaded:
    """Read the file and the environment.

    Raises SettingsError: file missing or not TOML, unknown key (the nearest valid one is named), value out of range.
    """
    file = find_file(config, os.environ)
    values = _read(file) if file else {}
    origins = {name: _origin(name, values, file) for name in Settings.model_fields}
    # Arguments go before the environment in pydantic-settings; what the environment sets is therefore not passed.
    from_file = {key: value for key, value in values.items() if origins[key].startswith("file ")}
    try:
        settings = Settings(**from_file)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(item, origins) for item in error.errors())) from None
    return Loaded(settings, origins, file)


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    names = list(Settings.model_fields)
    wrong = [
        f"{file}: unknown key {key!r}, did you mean {nearest(key, names)!r}?" for key in values if key not in names
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return values


def _origin(name: str, values: Mapping[str, Any], file: Path | None) -> str:
    if os.environ.get(env_name(name)):
        return f"environment {env_name(name)}"
    return f"file {file}:{name}" if name in values else "default"


def _sentence(error: Any, origins: Mapping[str, str]) -> str:
    """What was wrong, what would be right, and where it stands."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    shown = mask(error["input"]) if isinstance(error["input"], str) else error["input"]
    why = error["msg"].removeprefix("Value error, ") if error["type"] == "value_error" else f"must be {allowed(name)}"
    return f"{name}: {why}, got {shown!r} ({origins[name]})"


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """WAYFRAME_… variables that are no setting, each with the nearest that is."""
    other = {"WAYFRAME_CONFIG", "WAYFRAME_URL", "WAYFRAME_TOKEN", "WAYFRAME_PASSWORD", "WAYFRAME_SHARED"}
    names = [env_name(name) for name in Settings.model_fields]
    strange = [key for key in environ if key.startswith(ENV_PREFIX) and key not in other and key not in names]
    return [f"{key} is no setting, did you mean {nearest(key, names)}?" for key in sorted(strange)]
