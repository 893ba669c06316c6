"""The samples of a run, and what is said about them: medians with their spread, ratios taken within a round."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any, Final

Key = tuple[str, str, str]


class Ledger:
    """Samples by scenario, peer and figure, one for each round."""

    def __init__(self) -> None:
        self.samples: defaultdict[Key, list[float]] = defaultdict(list)
        self.notes: list[str] = []
        self.curves: dict[str, dict[str, dict[float, list[float]]]] = {}

    def add(self, scenario: str, peer: str, **figures: float) -> None:
        """Note what one round measured."""
        for figure, value in figures.items():
            self.samples[scenario, peer, figure].append(float(value))

    def point(self, curve: str, series: str, x: float, y: float) -> None:
        """Note one point of a growth curve; several of the same x are rounds."""
        self.curves.setdefault(curve, {}).setdefault(series, {}).setdefault(float(x), []).append(float(y))

    def has(self, scenario: str, peer: str, figure: str) -> bool:
        """Tell whether this was measured at all."""
        return (scenario, peer, figure) in self.samples

    def median(self, scenario: str, peer: str, figure: str) -> float | None:
        """The median over the rounds, or None when it was not measured."""
        values = self.samples.get((scenario, peer, figure))
        return statistics.median(values) if values else None

    def spread(self, scenario: str, peer: str, figure: str) -> tuple[float, float] | None:
        """The least and the greatest over the rounds."""
        values = self.samples.get((scenario, peer, figure))
        return (min(values), max(values)) if values else None

    def ratio(
        self, scenario: str, figure: str, peer: str, other: str, *, other_scenario: str | None = None
    ) -> float | None:
        """The median of `peer` divided by `other`, round by round: what slowed a whole round down cancels out."""
        mine = self.samples.get((scenario, peer, figure), [])
        theirs = self.samples.get((other_scenario or scenario, other, figure), [])
        ratios = [a / b for a, b in zip(mine, theirs, strict=False) if b]
        return statistics.median(ratios) if ratios else None

    def peers(self, scenario: str, figure: str) -> list[str]:
        """Who was measured, in the order of the turns."""
        return [peer for name, peer, found in self.samples if (name, found) == (scenario, figure)]

    def as_json(self) -> dict[str, Any]:
        """Everything, for the file beside the page."""
        scenarios: dict[str, Any] = {}
        for (scenario, peer, figure), values in self.samples.items():
            scenarios.setdefault(scenario, {}).setdefault(peer, {})[figure] = {
                "median": _short(statistics.median(values)), "samples": [_short(value) for value in values]
            }  # fmt: skip
        curves = {
            curve: {
                series: [[x, _short(statistics.median(ys))] for x, ys in sorted(points.items())]
                for series, points in all_series.items()
            }
            for curve, all_series in self.curves.items()
        }
        return {"scenarios": scenarios, "curves": curves, "notes": self.notes}


_DIGITS: Final = 5


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
