"""What a scrape says, as a table: sample name and labels to value."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def read_samples(text: str) -> Samples:
    """Samples by the name under which they stand in the text: `apex_rtm_refusals_total{code="x",surface="http"}`."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in samples, f"{name} stands twice"
            samples[name] = sample.value
    return samples


def scrape(http: httpx.Client) -> Samples:
    """Read /metrics."""
    answer = http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return read_samples(answer.text)
