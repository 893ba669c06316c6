"""The scenarios, in the order in which they run. Each takes a `Run`, works in rounds, and writes into its ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.plan import Run
from bench.scenario import deflate, delivery, durable, growth, memory, publish, recovery

SCENARIOS: Final[dict[str, Callable[[Run], None]]] = {
    "delivery": delivery.at_a_thousand,
    "delivery-rate": delivery.at_the_saturating_rate,
    "delivery-large": delivery.at_many_thousands,
    "publish": publish.one_subscriber,
    "channels": publish.one_of_many_channels,
    "memory": memory.idle_connections,
    "deflate": deflate.compressed,
    "recovery": recovery.after_a_restart,
    "durable": durable.concurrent_publishers,
    "growth-subscribers": growth.subscribers,
    "growth-messages": growth.message_sizes,
    "growth-user": growth.connections_per_user,
    "growth-history": growth.history_length,
}
