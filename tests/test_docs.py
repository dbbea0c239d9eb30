"""What the documentation says is true: links lead somewhere, commands, settings and make targets exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from wayframe.cli import app, main
from wayframe.commandline import rights
from wayframe.commandline.reference import page as commands_page
from wayframe.commandline.settings import reference
from wayframe.config import Settings, env_name, load
from wayframe.model import limits

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NOT_SETTINGS = {"WAYFRAME_CONFIG", "WAYFRAME_URL", "WAYFRAME_TOKEN", "WAYFRAME_SHARED"}

GROUPS = ("token", "device", "simulate", "user", "media", "command", "tail", "tls")
"""First words of commands that have a second one."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def heading_anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as Markdown viewers make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_settings_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference(), (
        "run: wayframe settings --markdown > docs/reference/settings.md"
    )


def test_the_page_of_commands_is_what_the_code_says() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text() == commands_page(get_command(app)), (
        "run: wayframe reference > docs/reference/cli.md"
    )


def test_the_rights_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/reference/rights.md").read_text() == rights.reference(), (
        "run: wayframe rights --markdown > docs/reference/rights.md"
    )


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        aim = page.parent / name if name else page
        assert aim.exists(), target
        assert not anchor or anchor in heading_anchors(aim), target


@pages
def test_settings_that_are_named_exist(page: Path) -> None:
    known = NOT_SETTINGS | {env_name(name) for name in Settings.model_fields}
    assert set(re.findall(r"\bWAYFRAME_[A-Z0-9_]+", page.read_text())) <= known


@pages
def test_settings_files_that_are_shown_load(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(re.sub(r"^ +", "", block, flags=re.MULTILINE))
        load(file)


@pages
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), flags=re.MULTILINE)
    assert set(named) <= targets


@pages
def test_commands_that_are_shown_exist(page: Path) -> None:
    shown = re.findall(r"(?:^|[`(] *|/bin/)wayframe ([a-z]+(?: [a-z]+)?)\b", page.read_text(), flags=re.MULTILINE)
    for words in {tuple(line.split()) for line in shown}:
        command = list(words) if words[0] in GROUPS else [words[0]]
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert not ended.value.code, words


def test_every_page_can_be_found() -> None:
    linked = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
        if "://" not in name
    }
    lonely = [page for page in PAGES if page.name != "README.md" and page.resolve() not in linked]
    assert not lonely, "link these from README.md or a page it links to"


def test_locks_name_no_index() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_every_limit_is_described() -> None:
    text = (ROOT / "docs/reference/limits.md").read_text()
    assert [name for name in limits.NAMES if f"`{name}`" not in text] == []
    counted = text.partition("## What does not exist here")[0]
    assert {name for name in limits.NAMES if f"| `{name}` |" in counted} == set(limits.ENFORCED)
