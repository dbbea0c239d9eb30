"""Whatever fits the OpenAPI, and what does not, gets an answer that the OpenAPI names, and never a server error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .house import House

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OWN_TOKEN = "(put|patch|delete)-platform-tokens-tokens"
"""Operations that could end the token the test itself asks with."""
EXAMPLES = 8
"""Drawn cases of each operation, beside those that its description names."""


def test_the_api_does_what_its_description_says(house: House, tmp_path: Path) -> None:
    house.add_device("13910000001")
    house.result("POST", "/gw/groups", [{"name": "g"}])
    house.result("POST", "/gw/plugins", [{"item_type": "item-fields"}])
    house.result("POST", "/platform/subaccounts", [{"name": "s"}])
    ask(house, tmp_path, "--exclude-operation-id-regex", OWN_TOKEN, "--exclude-tag", "gallery")


def test_the_gallery_does_what_its_description_says(house: House, tmp_path: Path) -> None:
    device = house.add_device("13910000002", metadata={"gallery_id": "device123"})
    files = {"event": ("example.txt", b"an example")}
    base = f"{house.base}/api/gallery/{device}"
    made = house.client.post(f"{base}/upload", data={"name": "example.txt"}, files=files, headers=house.headers)
    assert made.status_code == 200
    link = house.call("GET", f"/api/gallery/{device}/upload-url?filename=link.txt")["upload_url"].rpartition("/")[2]
    there = f'[parameters]\n"path.device" = "device123"\n"path.link" = "{link}"\n'
    (tmp_path / "schemathesis.toml").write_text(there)  # what is only made up is 404, and tells nothing
    ask(house, tmp_path, "--include-tag", "gallery")


def ask(house: House, folder: Path, *which: str) -> None:
    """Let schemathesis ask some of the operations."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{house.base}/openapi.json", "--url", house.base,
        "-H", f"Authorization: {house.headers['Authorization']}", "--checks", CHECKS, "--phases", "examples,fuzzing",
        "--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color",
        "--request-timeout", "30", "--suppress-health-check", "all", *which,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert house.client.get("/auth/info", headers=house.headers).status_code == 200, (
        "the token has been lost on the way"
    )
    assert house.logged("request_failed") == []
