"""The alert on missing workers, by the number of the configuration: the default has one, so it cannot fire there."""

from __future__ import annotations

from pathlib import Path

import pytest

from grafana import build
from grafana.config import Config, Prometheus
from tests.grafana.tooling import run

CASE = """\
rule_files: [operations.yaml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - { series: 'up{job="callpulse", instance="a:8787"}', values: 1x60 }
      - { series: 'up{job="callpulse", instance="b:8787"}', values: 1x60 }
      - { series: 'up{job="callpulse", instance="c:8787"}', values: 1x20 stale _x40 }
    promql_expr_test:
      - { expr: 'count_over_time(ALERTS[15m])', eval_time: 10m, exp_samples: [] }
      - { expr: 'count by (alertname) (ALERTS{alertstate="firing"})', eval_time: 20m, exp_samples: [EXPECTED] }
"""


@pytest.mark.parametrize(("workers", "fires"), [(1, False), (2, False), (3, True)])
def test_a_worker_that_is_no_target_any_more_is_missed(workers: int, tmp_path: Path, *, fires: bool) -> None:
    made = build.rendered(Config(prometheus=Prometheus(workers=workers)))
    (tmp_path / "operations.yaml").write_text(made["rules/operations.yaml"], "utf-8")
    expected = """{ labels: '{alertname="WorkersMissing"}', value: 1 }""" if fires else ""
    case = tmp_path / "case.yaml"
    case.write_text(CASE.replace("EXPECTED", expected), "utf-8")
    done = run("promtool", "test", "rules", case)
    assert done.returncode == 0, done.stdout + done.stderr
