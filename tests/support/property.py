"""How the property tests run: the same examples each time, and no verdict from the speed of the machine."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, Phase, settings

# `derandomize` keeps a green commit green: a new example is found where somebody looks for one, not in another's build.
# It also means that no database of examples is written into the checkout. Explaining a failure takes minutes.
PROPERTY: Final = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
