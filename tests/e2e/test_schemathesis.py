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
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{house.base}/openapi.json", "--url", house.base,
        "-H", f"Authorization: {house.headers['Authorization']}", "--checks", CHECKS, "--phases", "examples,fuzzing",
        "--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color",
        "--exclude-operation-id-regex", OWN_TOKEN, "--request-timeout", "30", "--suppress-health-check", "all",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert house.client.get("/auth/info", headers=house.headers).status_code == 200, (
        "the token has been lost on the way"
    )
    assert house.logged("request_failed") == []
