"""Who is on a channel, told in few words."""

from __future__ import annotations

from typing import Any

from tests.support.core import Client, Core

CHANNEL = "chat:general"


def watcher(core: Core, user: str = "WATCHER") -> Client:
    client = core.connect(user, "chat:*")
    client.subscribe(CHANNEL, presence=True)
    core.hub.presence.flush()
    client.peer.take()
    return client


def member(core: Core, user: str) -> Client:
    client = core.connect(user, "chat:*")
    client.subscribe(CHANNEL)
    return client


def flush(core: Core, client: Client) -> list[dict[str, Any]]:
    core.hub.presence.flush()
    return client.peer.take()


def test_the_answer_to_subscribe_says_who_is_there() -> None:
    core = Core(secured=True)
    member(core, "SCOTT"), member(core, "SCOTT"), member(core, "KING")

    answer = core.connect("ADAMS", "chat:*").subscribe(CHANNEL, presence=True)

    assert answer["presence"] == {"connections": 4, "users": {"SCOTT": 2, "KING": 1, "ADAMS": 1}}


def test_those_without_a_user_count_as_connections_only() -> None:
    core = Core()
    core.open().subscribe(CHANNEL)

    assert core.open().subscribe(CHANNEL, presence=True)["presence"] == {"connections": 2, "users": {}}


def test_a_watcher_is_told_who_came_and_who_left() -> None:
    core = Core(secured=True)
    client = watcher(core)
    scott, adams = member(core, "SCOTT"), member(core, "ADAMS")

    (frame,) = flush(core, client)
    assert frame == {
        "type": "presence", "channel": CHANNEL, "connections": 3, "users": 3, "joined": ["SCOTT", "ADAMS"], "left": [],
    }  # fmt: skip

    scott.session.on_closed()
    adams.ask(type="unsubscribe", channel=CHANNEL)
    (frame,) = flush(core, client)
    assert (frame["connections"], frame["users"], frame["joined"]) == (1, 1, [])
    assert sorted(frame["left"]) == ["ADAMS", "SCOTT"]
    assert flush(core, client) == []


def test_only_the_first_and_the_last_connection_of_a_user_are_worth_a_name() -> None:
    core = Core(secured=True)
    client = watcher(core)
    first = member(core, "SCOTT")
    flush(core, client)
    second = member(core, "SCOTT")

    (frame,) = flush(core, client)
    assert (frame["connections"], frame["users"], frame["joined"], frame["left"]) == (3, 2, [], [])

    first.session.on_closed()
    (frame,) = flush(core, client)
    assert (frame["connections"], frame["users"], frame["joined"], frame["left"]) == (2, 2, [], [])

    second.session.on_closed()
    (frame,) = flush(core, client)
    assert (frame["connections"], frame["users"], frame["joined"], frame["left"]) == (1, 1, [], ["SCOTT"])


def test_who_comes_and_goes_within_an_interval_is_not_named() -> None:
    core = Core(secured=True)
    client = watcher(core)
    member(core, "SCOTT").session.on_closed()

    (frame,) = flush(core, client)
    assert (frame["connections"], frame["joined"], frame["left"]) == (1, [], [])


def test_a_thousand_joins_within_an_interval_are_one_frame_for_each_watcher() -> None:
    core = Core(secured=True)
    clients = [watcher(core), watcher(core, "OTHER")]
    members = [member(core, f"USER{number}") for number in range(1000)]
    for client in clients:
        client.peer.take()

    core.hub.presence.flush()

    for client in clients:
        # So many names would be more bytes than the news is worth: the numbers alone are told.
        assert client.peer.take() == [{"type": "presence", "channel": CHANNEL, "connections": 1002, "users": 1002}]
    assert all(client.peer.take() == [] for client in members)


def test_names_are_told_up_to_the_limit() -> None:
    core = Core(secured=True, max_names=2)
    client = watcher(core)
    two = [member(core, "A"), member(core, "B")]
    assert flush(core, client)[0]["joined"] == ["A", "B"]

    two[0].session.on_closed()
    member(core, "C")
    (frame,) = flush(core, client)
    assert (frame["joined"], frame["left"]) == (["C"], ["A"])

    two[1].session.on_closed()
    member(core, "D"), member(core, "E")
    (frame,) = flush(core, client)
    assert "joined" not in frame
    assert "left" not in frame
    assert frame["users"] == 4


def test_whoever_unsubscribes_watches_no_longer() -> None:
    core = Core(secured=True)
    client, other = watcher(core), watcher(core, "OTHER")
    client.say(type="unsubscribe", channel=CHANNEL)
    core.hub.presence.flush()
    client.peer.take(), other.peer.take()

    member(core, "SCOTT")

    assert flush(core, client) == []
    assert other.peer.take_one()["joined"] == ["SCOTT"]


def test_an_empty_channel_is_forgotten_and_may_fill_again_within_the_interval() -> None:
    core = Core(secured=True)
    first = member(core, "SCOTT")
    core.hub.presence.flush()
    first.session.on_closed()
    client = core.connect("KING", "chat:*")
    client.subscribe(CHANNEL, presence=True)

    frames = flush(core, client)
    assert [(frame["connections"], frame["joined"], frame["left"]) for frame in frames] == [(1, ["KING"], [])]

    client.session.on_closed()
    core.hub.presence.flush()
    assert core.hub.presence._channels == {}


def test_a_watcher_that_ends_while_it_is_told_does_not_stop_the_others() -> None:
    core = Core(secured=True)
    clients = [watcher(core), watcher(core, "OTHER")]
    clients[0].session.send = lambda _frame: clients[0].session.on_stalled()
    member(core, "SCOTT")

    core.hub.presence.flush()

    (frame,) = clients[1].peer.take()
    assert frame["joined"] == ["SCOTT"]
    assert flush(core, clients[1])[0]["left"] == ["WATCHER"]


def test_prefixes_and_other_namespaces_are_not_counted() -> None:
    core = Core(secured=True)
    client = watcher(core)
    core.connect("SCOTT", "*").subscribe("chat:*")
    core.connect("SCOTT", "*").subscribe("orders:1")

    assert flush(core, client) == []
    assert list(core.hub.presence._channels) == [CHANNEL]


def test_leaving_a_channel_that_nobody_is_on_is_no_fault() -> None:
    core = Core(secured=True)

    core.hub.presence.leave("chat:empty", "SCOTT", core.open().session)
    core.hub.presence.flush()

    assert core.hub.presence._channels == {}


def test_other_nodes_are_counted_and_counted_out() -> None:
    core = Core()
    presence = core.hub.presence
    watcher = core.open()
    watcher.subscribe("chat:a", presence=True)
    presence.flush()
    watcher.peer.take()

    presence.set_elsewhere("chat:a", "n2", 3, {"SCOTT": 2})
    presence.set_elsewhere("chat:a", "n3", 1, {"SCOTT": 1})
    presence.flush()
    news = watcher.peer.take_one()
    assert (news["connections"], news["users"], news["joined"], news["left"]) == (5, 1, ["SCOTT"], [])

    presence.set_elsewhere("chat:a", "n2", 1, {"KING": 1})
    presence.set_elsewhere("chat:a", "n3", 1, {"SCOTT": 1})  # nothing new
    presence.drop_node("n3")
    presence.flush()
    news = watcher.peer.take_one()
    assert (news["connections"], news["joined"], news["left"]) == (2, ["KING"], ["SCOTT"])
    presence.forget_elsewhere("chat:a")
    presence.forget_elsewhere("chat:unknown")
    presence.flush()
    assert watcher.peer.take_one()["connections"] == 1


def test_the_others_are_told_of_this_node_only() -> None:
    core = Core()
    presence = core.hub.presence
    told: list[tuple[str, int, dict[str, int]]] = []
    presence.tell = lambda channel, connections, users: told.append((channel, connections, dict(users)))
    presence.set_elsewhere("chat:a", "n2", 3, {"SCOTT": 2})
    presence.flush()
    assert told == []

    client = core.open()
    client.subscribe("chat:a")
    presence.flush()
    client.session.on_closed()
    presence.flush()
    presence.flush()

    assert told == [("chat:a", 1, {}), ("chat:a", 0, {})]
    presence.drop_node("n2")
    assert presence._channels == {}
