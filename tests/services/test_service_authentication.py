"""Who asks: keys, their short spelling, and what ends a token."""

from __future__ import annotations

from typing import Any

import pytest
from rooms import NOW, Rooms

from wayframe.model import Account, Forbidden, TooManyRequests, Unauthorized
from wayframe.services import CUSTOMER, TOKENS, Entry, RateLimiter
from wayframe.storage import AccountTable

pytestmark = pytest.mark.anyio
HERE, THERE = "203.0.113.5", "203.0.113.6"


async def token(rooms: Rooms, **body: Any) -> Entry:
    return await rooms.directory.create(rooms.master(), TOKENS, {"ttl": 3600, **body})


def kept(rooms: Rooms, made: Entry) -> Entry:
    entry = rooms.directory.find(TOKENS, made.id)
    assert entry is not None
    return entry


@pytest.mark.parametrize("length", [16, 17, 40, 64])
async def test_an_id_and_the_beginning_of_the_key_are_enough(one: Rooms, length: int) -> None:
    made = await token(one)
    assert one.directory.authenticate_short(made.id, made.view["key"][:length], HERE).id == made.id


async def test_anything_shorter_longer_or_else_is_not(one: Rooms) -> None:
    made, other = await token(one), await token(one)
    key = made.view["key"]
    changed = ("y" if key[0] == "x" else "x") + key[1:]
    wrong = ["", key[:15], key + "x", changed, key[1:], "\ud800" * 16, other.view["key"]]
    for number, prefix in enumerate(wrong):
        with pytest.raises(Unauthorized):
            one.directory.authenticate_short(made.id, prefix, f"198.51.100.{number}")
    with pytest.raises(Unauthorized):
        one.directory.authenticate_short(2**70, key, HERE)


async def test_guessing_is_slowed_down_for_whoever_guesses(one: Rooms) -> None:
    made = await token(one)
    key = made.view["key"]
    for _ in range(10):
        with pytest.raises(Unauthorized):
            one.directory.authenticate_short(made.id, "x" * 16, HERE)
    with pytest.raises(TooManyRequests) as refused:
        one.directory.authenticate_short(made.id, key, HERE)
    assert refused.value.retry_after_s == pytest.approx(5)
    assert one.directory.authenticate_short(made.id, key, THERE).id == made.id
    one.clock.advance(5)
    for _ in range(20):
        assert one.directory.authenticate_short(made.id, key, HERE).id == made.id


async def test_neighbours_in_an_ipv6_network_guess_together(one: Rooms) -> None:
    made = await token(one)
    for number in range(10):
        with pytest.raises(Unauthorized):
            one.directory.authenticate_short(made.id, "x" * 16, f"2001:db8:1:2::{number:x}")
    with pytest.raises(TooManyRequests):
        one.directory.authenticate_short(made.id, made.view["key"], "2001:db8:1:2:ffff::1")
    one.directory.authenticate_short(made.id, made.view["key"], "2001:db8:1:3::1")


async def test_the_short_spelling_asks_for_the_same_conditions(one: Rooms) -> None:
    made = await token(one, ips=HERE)
    with pytest.raises(Forbidden):
        one.directory.authenticate_short(made.id, made.view["key"], THERE)
    await one.directory.update(one.master(), TOKENS, kept(one, made), {"enabled": False, "ips": ""}, patch=True)
    with pytest.raises(Unauthorized, match="disabled"):
        one.directory.authenticate_short(made.id, made.view["key"], HERE)


async def test_an_address_may_come_as_ipv4_in_ipv6(one: Rooms) -> None:
    made = await token(one, ips="203.0.113.0/24")
    assert one.directory.authenticate(made.view["key"], "::ffff:203.0.113.5").id == made.id


# --- alive ------------------------------------------------------------------------------------------------------------


async def test_a_token_lives_until_it_is_disabled_or_deleted(one: Rooms) -> None:
    made = await token(one)
    assert one.directory.token_alive(made.id) is None
    await one.directory.update(one.master(), TOKENS, kept(one, made), {"enabled": False}, patch=True)
    assert "disabled" in str(one.directory.token_alive(made.id))
    await one.directory.delete(one.master(), TOKENS, kept(one, made))
    assert "deleted" in str(one.directory.token_alive(made.id))


async def test_a_blocked_account_stops_its_subaccounts_too(rooms: Rooms) -> None:
    main = rooms.master().cid
    child = await AccountTable(rooms.db).insert(Account(id=0, owner_id=main))
    grandchild = await AccountTable(rooms.db).insert(Account(id=0, owner_id=child.id))
    await rooms.restart()
    made = await rooms.directory.create_token(grandchild.id, {"ttl": 60})
    assert rooms.directory.token_alive(made.id) is None
    rooms.directory.place(CUSTOMER, Account(id=child.id, owner_id=main, blocked=True))
    assert "blocked" in str(rooms.directory.token_alive(made.id))
    with pytest.raises(Forbidden, match="blocked"):
        rooms.directory.authenticate(made.view["key"], HERE)


@pytest.mark.parametrize(
    ("ends", "uses", "over"),
    [
        ({"expire": NOW + 100, "ttl": 0}, [], 100),
        ({"ttl": 60}, [], 60),
        ({"ttl": 60}, [30, 80], 140),
        ({"expire": NOW + 100, "ttl": 60}, [], 100),
        ({"expire": NOW + 100, "ttl": 60}, [90], 150),
    ],
)
async def test_a_token_is_deleted_when_both_of_its_ends_are_past(
    one: Rooms, ends: dict[str, float], uses: list[float], over: float
) -> None:
    made = await token(one, **ends)
    for at in uses:
        one.clock.time = NOW + at
        await one.directory.end_tokens()
        one.directory.authenticate(made.view["key"], HERE)
        await one.directory.save_token_use()
    one.clock.time = NOW + over - 0.1
    await one.directory.end_tokens()
    assert one.directory.token_alive(made.id) is None
    one.clock.time = NOW + over
    assert "expired" in str(one.directory.token_alive(made.id))
    await one.directory.end_tokens()
    assert "deleted" in str(one.directory.token_alive(made.id))
    await one.journal.settled()
    assert f"flespi/log/platform/tokens/{made.id}/deleted" in one.topics()


async def test_a_new_end_counts_from_the_change_on(one: Rooms) -> None:
    longer, shorter = await token(one, ttl=60), await token(one, ttl=600)
    await one.directory.update(one.master(), TOKENS, kept(one, longer), {"ttl": 600}, patch=True)
    await one.directory.update(one.master(), TOKENS, kept(one, shorter), {"ttl": 60}, patch=True)
    one.clock.advance(60)
    await one.directory.end_tokens()
    assert one.directory.token_alive(longer.id) is None
    assert one.directory.find(TOKENS, shorter.id) is None


async def test_many_changes_of_a_token_leave_no_trail(one: Rooms) -> None:
    made = await token(one, ttl=60)
    for _ in range(3000):
        one.directory.place(TOKENS, kept(one, made).item)
    one.clock.advance(60)
    await one.directory.end_tokens()
    assert one.directory.find(TOKENS, made.id) is None


# --- how often --------------------------------------------------------------------------------------------------------


def test_a_token_may_ask_so_often_and_again_after_a_while() -> None:
    limiter = RateLimiter(2, 3)
    for _ in range(3):
        limiter.take(1, 100.0)
    with pytest.raises(TooManyRequests) as refused:
        limiter.take(1, 100.0)
    assert refused.value.retry_after_s == pytest.approx(0.5)
    limiter.take(2, 100.0)
    limiter.take(1, 100.5)


def test_a_check_counts_nothing() -> None:
    limiter = RateLimiter(1, 1)
    limiter.check("a", 100.0)
    limiter.take("a", 100.0)
    with pytest.raises(TooManyRequests):
        limiter.check("a", 100.0)


def test_no_limit_is_no_limit() -> None:
    limiter = RateLimiter(0, 1)
    for _ in range(100):
        limiter.take(1, 0.0)
