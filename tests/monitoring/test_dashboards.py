"""Every query of every dashboard has an answer while the shop is used."""

import math

import dashboards
import metrics
import pytest
from lib import wait
from watchers import RATE_INTERVAL

BOARDS = dashboards.every_dashboard()


def panel_queries():
    return [pytest.param(board, query, id=query.where)
            for board in BOARDS for query in board.panel_queries()]


@pytest.mark.parametrize("board, query", panel_queries())
def test_panel_has_data(board, query, watchers, used_shop):
    expression = board.filled(query, __rate_interval=RATE_INTERVAL)

    def has_data():
        values = [value for _, value in watchers.query(expression)]
        assert any(math.isfinite(value) for value in values), f"{expression}: {values}"
        return True
    wait.until(has_data, 20, query.where, 0.5)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.path.stem)
def test_variables_have_values(board, watchers, used_shop):
    for query in board.variable_queries():
        assert watchers.query(board.filled(query)), query.where


def test_exporters_have_what_is_listed(watchers, used_shop):
    listed = metrics.of_exporters(elsewhere=False)
    # A counter with a label shows once there was something to count; ALERTS while one is pending.
    listed -= {"ALERTS"}
    assert not listed - watchers.metric_names()


def test_our_metrics_are_exposed(watchers, used_shop):
    ours = metrics.of_our_code() | metrics.of_our_queries() | metrics.of_our_rules()
    assert not ours - watchers.metric_names()


def test_requests_are_counted_by_route(watchers, used_shop):
    def counted():
        found = {(about["service"], about["method"], about["route"]) for about, value in
                 watchers.query("sum by (service, method, route) (http_requests_total) > 0")}
        wanted = {("order", "POST", "/users/{id}/orders"), ("auth", "POST", "/login"),
                  ("notification", "POST", "/internal/events"), ("price", "PUT", "/manage/prices/{id}")}
        assert wanted <= found, sorted(found)
        return True
    wait.until(counted, 20, "the requests of the load", 0.5)


def test_highest_quantile_is_an_upper_bound_of_what_was_measured(watchers, used_shop):
    """What the panel says of “100 %”: a bucket's bound, not below any other quantile."""
    series = ("sum by (service, method, route, le)"
              " (increase(http_request_duration_seconds_bucket[1h]))")
    highest = dict((tuple(sorted(about.items())), value)
                   for about, value in watchers.query(f"histogram_quantile(1, {series})"))
    bounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
    assert highest and {value for value in highest.values() if math.isfinite(value)} <= bounds
    for about, value in watchers.query(f"histogram_quantile(0.99, {series})"):
        if math.isfinite(value):
            assert value <= highest[tuple(sorted(about.items()))]
