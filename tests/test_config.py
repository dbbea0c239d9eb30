"""Settings: where a value comes from, what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wayframe.config import PORTS, Settings, SettingsError, allowed, env_name, load, mask, show, unknown_variables


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine that runs the tests, and an empty working directory."""
    for name in Settings.model_fields:
        monkeypatch.delenv(env_name(name), raising=False)
    monkeypatch.delenv("WAYFRAME_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_file() -> None:
    loaded = load()
    assert loaded.file is None
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings.http_port == 8080
    assert loaded.settings.database == f"sqlite:///{Path.cwd() / 'data' / 'wayframe.db'}"
    assert loaded.settings.blobs == Path("data/blobs")
    assert loaded.settings.url.endswith(":8080")


def test_environment_goes_before_file_before_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("wayframe.toml").write_text('http_port = 9000\nlive_idle_s = "2 min"\n')
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", "9100")
    loaded = load()
    assert (loaded.settings.http_port, loaded.origins["http_port"]) == (9100, "environment WAYFRAME_HTTP_PORT")
    assert (loaded.settings.live_idle_s, loaded.origins["live_idle_s"]) == (120.0, "file wayframe.toml:live_idle_s")
    assert loaded.origins["jt808_port"] == "default"


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("wayframe.toml").write_text("http_port = 9000\n")
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", "")
    assert load().settings.http_port == 9000


def test_file_named_by_option_or_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = tmp_path / "node.toml"
    named.write_text("http_port = 9000\n")
    assert load(named).settings.http_port == 9000
    monkeypatch.setenv("WAYFRAME_CONFIG", str(named))
    assert load().settings.http_port == 9000


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('max_upload_bytes = "2 GiB"', "max_upload_bytes", 2 << 30),
        ('max_upload_bytes = "1.5 GB"', "max_upload_bytes", 1_500_000_000),
        ("max_upload_bytes = 1000", "max_upload_bytes", 1000),
        ('default_media_ttl = "90 d"', "default_media_ttl", 90 * 86400),
        ('stop_grace_s = "500 ms"', "stop_grace_s", 0.5),
        ('jt808_auth = "strict"', "jt808_auth", "strict"),
        ('public_url = "https://video.example.com/"', "public_url", "https://video.example.com"),
        ('public_device_host = "2001:db8::1"', "public_device_host", "2001:db8::1"),
    ],
)
def test_values_may_carry_units(text: str, name: str, value: object) -> None:
    Path("wayframe.toml").write_text(text)
    assert getattr(load().settings, name) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("htpp_port = 1", "wayframe.toml: unknown key 'htpp_port', did you mean 'http_port'?"),
        ("[jt808]\nport = 1", "wayframe.toml: unknown key 'jt808', did you mean 'jt808_port'?"),
        (
            "http_port = 90000",
            "http_port: must be 0 .. 65535 (whole number), got 90000 (file wayframe.toml:http_port)",
        ),
        ('jt808_auth = "x"', "jt808_auth: must be open | strict, got 'x' (file wayframe.toml:jt808_auth)"),
        (
            'max_body_bytes = "3 parsec"',
            "max_body_bytes: unknown unit 'parsec', one of b, kb, mb, gb, tb, kib, mib, gib, tib, "
            "got '3 parsec' (file wayframe.toml:max_body_bytes)",
        ),
        (
            'public_url = "video.example.com"',
            "public_url: an address such as https://video.example.com is wanted, got 'video.example.com' "
            "(file wayframe.toml:public_url)",
        ),
        (
            'public_device_host = "1.2.3.4:8808"',
            "public_device_host: a host name or address without scheme and port is wanted, got '1.2.3.4:8808' "
            "(file wayframe.toml:public_device_host)",
        ),
        (
            'trusted_proxies = "127.0.0.1, proxy"',
            "trusted_proxies: 'proxy' is no address and no network (written without host bits), "
            "got '127.0.0.1, proxy' (file wayframe.toml:trusted_proxies)",
        ),
        ('tls_key = "key.pem"', "tls_certificate and tls_key go together: name both files, or neither"),
        ("jt808_port = 8080", "http_port and jt808_port are both 8080; each listener needs its own port"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(text: str, said: str) -> None:
    Path("wayframe.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(caught.value) == said


def test_every_mistake_is_named_at_once() -> None:
    Path("wayframe.toml").write_text("http_port = -1\nmedia_workers = 0\n")
    with pytest.raises(SettingsError) as caught:
        load()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["http_port", "media_workers"]


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_MEDIA_WORKERS", "many")
    with pytest.raises(SettingsError, match=r"got 'many' \(environment WAYFRAME_MEDIA_WORKERS\)"):
        load()


def test_the_password_of_a_wrong_database_is_not_repeated() -> None:
    Path("wayframe.toml").write_text('database_url = "mysql://root:hush@db/x"\n')
    with pytest.raises(SettingsError) as caught:
        load()
    assert "hush" not in str(caught.value)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml \(--config\) does not exist"):
        load(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("http_port =")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(broken)


def test_mistyped_variables_are_told() -> None:
    environ = {"WAYFRAME_HTTP_PROT": "1", "WAYFRAME_HTTP_PORT": "1", "WAYFRAME_TOKEN": "x", "HOME": "/"}
    assert unknown_variables(environ) == ["WAYFRAME_HTTP_PROT is no setting, did you mean WAYFRAME_HTTP_PORT?"]


def test_every_setting_says_what_it_is_for_and_what_it_takes() -> None:
    for name, info in Settings.model_fields.items():
        assert (info.description or "").endswith("."), name
        assert allowed(name), name
        show(name, info.default)


def test_every_port_of_the_table_is_a_setting() -> None:
    for port in PORTS:
        for name in (port.setting, port.host_setting, port.public_setting):
            assert name == "" or name in Settings.model_fields


def test_told_ports_follow_the_bound_ones_unless_mapped() -> None:
    settings = Settings(jt1078_live_port=7000, public_playback_port=17001)
    assert (settings.told_live_port, settings.told_playback_port, settings.told_attachments_port) == (7000, 17001, 8812)


def test_passwords_of_addresses_are_masked() -> None:
    assert mask("postgresql://wayframe:hush@db:5432/x") == "postgresql://wayframe:***@db:5432/x"
    assert mask("sqlite:////var/lib/wayframe.db") == "sqlite:////var/lib/wayframe.db"


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"public_url": "http://video.example.com"}, "https://video.example.com:9005"),
        ({"public_url": "http://[2001:db8::1]:8080", "https_port": 9443}, "https://[2001:db8::1]:9443"),
        ({"public_url": "https://video.example.com"}, "https://video.example.com"),
        ({"public_url": "http://video.example.com:8080", "tls": "off"}, "http://video.example.com:8080"),
    ],
)
def test_the_address_of_the_tls_door(settings: dict[str, Any], address: str) -> None:
    assert Settings(**settings).secure_url == address


def test_without_tls_its_ports_may_be_anybody_s() -> None:
    assert "https_port" not in {port.setting for port in Settings(tls="off", jt808_port=9005).ports}


def test_the_ftp_door_is_shut_unless_it_has_a_port() -> None:
    shut, usual = Settings(), Settings(ftp_port=8821, ftp_passive_ports="8822-8841", public_ftp_port=21)
    assert "ftp_port" not in {port.setting for port in shut.ports} and shut.told_ftp_port == 0
    assert not shut.passive_ports and Settings(public_ftp_port=21).told_ftp_port == 0
    assert "ftp_port" in {port.setting for port in usual.ports} and usual.told_ftp_port == 21
    assert (usual.passive_ports[0], usual.passive_ports[-1], len(usual.passive_ports)) == (8822, 8841, 20)


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"ftp_passive_ports": value}, "the lower first") for value in ("8841-8822", "80-90", "1024-70000", "8822", "a-b")]
    + [({"ftp_port": 8821, "ftp_passive_ports": "8800-8900"}, "lies in ftp_passive_ports")],
)
def test_ports_of_ftp_data_are_a_range_of_their_own(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings(**settings)


def test_secrets_are_not_shown() -> None:
    assert (show("metrics_token", "abc"), show("metrics_token", "")) == ("***", "")
