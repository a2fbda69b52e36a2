"""Light worlds against closed forms, against their own redrawn futures, and against the models that share their
assumptions. A z-bound of 4 fails a right world once in 16,000 times; seeds are fixed, so it fails once or never."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import MBGNBD, GammaGamma, ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.sample.light import MONTH, light_world

FRAMES = ("histories", "latents", "futures", "totals", "renewals", "renewals_future")
WEEKS, YEAR = 104, 52


@cache
def home_worlds(process: str, seeds: int, customers: int):
    return [light_world(s, customers, "home", process=process) for s in range(seeds)]


@cache
def weekly_worlds():
    """Misspecified worlds with every week of the year ahead, each with its orders (week, customer)."""
    found = []
    for seed in range(20):
        world = light_world(seed, horizons=tuple(range(1, YEAR + 1)))
        total = world.futures["orders"].to_numpy().reshape(YEAR, -1)
        found.append((world, np.diff(total, axis=0, prepend=0)))
    return found


@cache
def redrawn_worlds():
    return [light_world(s, 200, paths=20) for s in range(70)]


def z(values) -> np.ndarray:
    """Mean over independent worlds (first axis) in standard errors."""
    values = np.asarray(values, float)
    return values.mean(axis=0) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))


# ---- frames


@pytest.mark.parametrize("kind", ["home", "misspecified"])
def test_a_seed_is_a_world(kind):
    first, again, other = (light_world(s, 60, kind, paths=3) for s in (5, 5, 6))
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
        assert not getattr(first, name).equals(getattr(other, name))
    assert first.parameters == again.parameters != other.parameters


def test_expectations_are_left_out_without_paths_and_change_nothing_else():
    plain, full = light_world(8, 60), light_world(8, 60, paths=3)
    for name in FRAMES:
        known = [c for c in getattr(plain, name) if not c.startswith("expected")]
        pd.testing.assert_frame_equal(getattr(plain, name)[known], getattr(full, name)[known])
    for name in ("futures", "totals", "renewals_future"):
        assert getattr(plain, name).filter(like="expected").isna().all(axis=None)
        assert getattr(full, name).filter(like="expected").notna().all(axis=None)


@pytest.mark.parametrize("kind, process", [("home", "pareto_nbd"), ("home", "mbg_nbd"), ("misspecified", "mbg_nbd")])
def test_rows_agree_with_each_other(kind, process):
    world = light_world(2, 400, kind, process=process)
    h, latents, futures = world.histories, world.latents, world.futures
    assert (h["T"].between(0.4 * WEEKS, WEEKS) & (h["recency"] <= h["T"])).all()
    assert ((h["frequency"] == 0) == (h["recency"] == 0)).all()
    assert ((h["frequency"] == 0) == (h["monetary_value"] == 0)).all()
    assert np.allclose(h["T"] + latents["born"], WEEKS)
    assert (latents["alive"] == (latents["death_at"] > h["T"])).all()
    once = ~latents["returned"]
    assert (h["recency"] <= latents["death_at"])[once].all()
    by_horizon = futures["orders"].to_numpy().reshape(3, -1)
    assert (np.diff(by_horizon, axis=0) >= 0).all() and (by_horizon[-1] > by_horizon[0]).any()
    assert ((futures["orders"] == 0) == (futures["revenue"] == 0)).all()
    summed = futures.groupby("horizon")[["orders", "revenue"]].sum()
    assert np.allclose(world.totals[["orders", "revenue"]], summed)
    assert list(futures["customer_id"][futures["horizon"] == 26]) == list(h["customer_id"])
    assert 0 < latents["alive"].mean() < 1 and 0 < world.renewals["churned"].mean() < 1


def test_what_is_no_world_is_refused():
    for wrong in ({"kind": "hmoe"}, {"process": "bg_nbd"}, {"customers": 0}, {"horizons": ()}, {"paths": -1}):
        with pytest.raises(Refused):
            light_world(1, **wrong)


# ---- home


@pytest.mark.parametrize("process", ["pareto_nbd", "mbg_nbd"])
def test_home_expectations_are_those_of_the_realised_futures(process):
    worlds = home_worlds(process, 60, 300)
    for what in ("orders", "revenue"):
        off = [w.totals[what] - w.totals[f"expected_{what}"] for w in worlds]
        assert (np.abs(z(off)) < 4).all(), what
    # the error of a mean over 60 worlds is small enough to see a formula that is 2 % off
    assert np.std([w.totals["orders"] / w.totals["expected_orders"] for w in worlds], axis=0).max() / 60**0.5 < 0.01
    for w in worlds[:5]:
        dead = np.tile(~w.latents["alive"], 3)
        assert not w.futures.loc[dead, ["orders", "expected_orders", "expected_revenue"]].any(axis=None)
        assert not w.futures.filter(like="standard_error").any(axis=None)


def test_home_renewals_are_those_expected():
    rows = [w.renewals_future for w in home_worlds("pareto_nbd", 60, 300)]
    off = [(r["renewals"] - r["expected_renewals"]).groupby(r["terms"]).sum() for r in rows]
    assert (np.abs(z(off)) < 4).all()


@pytest.mark.parametrize("seeds, bound", [(3, 0.07), pytest.param(20, 0.027, marks=pytest.mark.slow)])
def test_pareto_nbd_finds_its_own_world(seeds, bound):
    """Worlds of 1,000 customers. The error of one total of about 2,000 orders has a sd of 3 % (chance of the future,
    of lives, of the fit), the mean of n worlds 3 % / root n: the bounds are four of those. The squared distance of the
    true log parameters in the fit's own covariance is chi-square with 4 a world; bounds at 1 in 10,000 either side."""
    bias, distance = [], 0.0
    for world in home_worlds("pareto_nbd", seeds, 1000):
        fit = ParetoNBD.fit(world.histories)
        assert fit.converged, fit.warnings
        expected = fit.conditional_expected_purchases(world.histories, 26).sum()
        bias.append(expected / world.totals.set_index("horizon")["orders"][26] - 1)
        distance += _distance(fit, world.parameters)
    assert abs(np.mean(bias)) < bound
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], 4 * seeds)
    assert low < distance < high


@pytest.mark.parametrize(
    "model, table, names",
    [
        (MBGNBD, "histories", {}),
        (GammaGamma, "histories", {}),
        (ShiftedBetaGeometric, "renewals", {"alpha": "sbg_alpha", "beta": "sbg_beta"}),
    ],
)
def test_the_other_models_find_theirs(model, table, names):
    """As above, chi-square with as many as the model has parameters a world, four worlds."""
    distance, found = 0.0, 0
    for world in home_worlds("mbg_nbd", 4, 1000):
        fit = model.fit(getattr(world, table))
        assert fit.converged, fit.warnings
        truth = {name: world.parameters[names.get(name, name)] for name in model.names}
        distance, found = distance + _distance(fit, truth), found + len(truth)
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], found)
    assert low < distance < high


def _distance(fit, truth: dict[str, float]) -> float:
    off = np.log([fit.params[n] / truth[n] for n in fit.log_parameter_names])
    return float(off @ np.linalg.solve(fit.covariance_log, off))


# ---- misspecified


def test_orders_are_more_regular_than_at_random():
    """Variance over mean of the orders in 13 weeks of customers who stay: 1 at random, 1 / shape for long gamma
    intervals. The mean is the customer's rate times one factor a world (season and shock)."""

    def dispersion(world):
        latents, orders = world.latents, world.futures["orders"][world.futures["horizon"] == 13].to_numpy()
        stays = latents["alive"] & (latents["leaves_at"] > world.histories["T"] + 13)
        rate, orders = latents["rate"][stays].to_numpy(), orders[stays]
        mean = rate * orders.sum() / rate.sum()
        return ((orders - mean) ** 2).sum() / mean.sum()

    assert np.mean([dispersion(w) for w in home_worlds("pareto_nbd", 60, 300)]) == pytest.approx(1, abs=0.03)
    for world, _ in weekly_worlds():
        assert dispersion(world) < 0.9, world.knobs.interval


def test_march_is_the_peak_by_the_knob():
    off = []
    for world, orders in weekly_worlds():
        month = np.floor((WEEKS + np.arange(YEAR + 1)) / MONTH)
        whole = month[:-1] == month[1:]  # weeks that lie in one month
        march = (month[:-1] + world.parameters["start_month"]) % 12 == 2
        stays = (world.latents["alive"] & (world.latents["leaves_at"] > world.histories["T"] + YEAR)).to_numpy()
        by_week = orders[:, stays].sum(axis=1)
        peak = by_week[march & whole].mean() / by_week[~march].mean()
        assert peak > 1.25
        off.append(np.log(peak / world.knobs.year_end))
    assert abs(z(off)) < 4 and np.std(off) / 20**0.5 < 0.03


def test_customers_fade_before_they_are_gone():
    """Orders a week and rate, relative to customers who stay: 2/3 in the first half of leaving, 1/3 in the second."""
    done, due = np.zeros(3), np.zeros(3)
    for world, orders in weekly_worlds():
        latents, T = world.latents, world.histories["T"].to_numpy()
        rate, leaves, gone = (latents[c].to_numpy() for c in ("rate", "leaves_at", "death_at"))
        half = (leaves + gone) / 2
        starts = T + np.arange(YEAR)[:, None]
        spans = [(0 * T, leaves), (leaves, half), (half, gone)]
        every = orders[:, leaves > T + YEAR].sum(axis=1) / rate[leaves > T + YEAR].sum()
        for j, (low, high) in enumerate(spans):
            inside = (starts >= low) & (starts + 1 <= high)
            done[j] += orders[inside].sum()
            due[j] += (inside * rate * every[:, None]).sum()
    assert done / due == pytest.approx([1, 2 / 3, 1 / 3], abs=0.04)


def test_rate_spend_and_hazard_lean_as_the_copula_says():
    for world, _ in weekly_worlds():
        logs = np.log(world.latents[["rate", "spend", "hazard"]])
        found = logs.corr().to_numpy()[[0, 0, 1], [1, 2, 2]]
        # correlations of 0.5 shrink by a two-class rate and by whales; the sd of one is 0.03
        assert (np.sign(world.knobs.copula) * found > 0.25).all()


def test_redrawn_futures_agree_with_realised_ones():
    """The state at as-of and the redraw from it against the one path from the first purchase, by state."""
    off = {}
    for world in redrawn_worlds():
        latents, futures, T = world.latents, world.futures, world.histories["T"]
        leaving = latents["alive"] & (latents["leaves_at"] <= T)
        state = np.select(
            [~latents["alive"], leaving, latents["elapsed"] > 1.2, latents["elapsed"] < 0.4],
            ["gone", "leaving", "long since", "just ordered"],
            "between",
        )
        for what in ("orders", "revenue"):
            gap = (futures[what] - futures[f"expected_{what}"]).to_numpy().reshape(3, -1)
            for name in ("gone", "leaving", "long since", "just ordered", "between"):
                off.setdefault((what, name), []).append(gap[:, state == name].sum(axis=1))
            off.setdefault((what, "all"), []).append(world.totals[what] - world.totals[f"expected_{what}"])
    for key, gaps in off.items():
        assert (np.abs(z(gaps)) < 4).all(), (key, z(gaps))
    # and the errors are small enough to see an expectation that is 3 % off
    expected = np.array([w.totals["expected_orders"] for w in redrawn_worlds()])
    assert (np.std(off["orders", "all"], axis=0) / len(expected) ** 0.5 / expected.mean(axis=0) < 0.0075).all()


def test_redrawn_renewals_agree_with_realised_ones():
    rows = [w.renewals_future for w in redrawn_worlds()]
    off = [(r["renewals"] - r["expected_renewals"]).groupby(r["terms"]).sum() for r in rows]
    assert (np.abs(z(off)) < 4).all()


def test_standard_errors_are_those_of_the_expectations(monkeypatch):
    """The first 50 of 200 futures are those of an expectation over 50: the two differ by the root of the difference of
    their squared standard errors, no less, no more."""
    monkeypatch.setattr("ltvlab_utils.sample.light.ROWS", 20_000)  # 50 futures of 400 customers at once
    few, many = (light_world(4, 400, paths=p) for p in (50, 200))
    for name, what in (("futures", "orders"), ("futures", "revenue"), ("renewals_future", "renewals")):
        a, b = getattr(few, name), getattr(many, name)
        often = b[f"expected_{what}"] > (0.5 if name == "futures" else 0)  # rare events are far from normal
        gap = a[f"expected_{what}"] - b[f"expected_{what}"]
        squared = (b[f"expected_{what}_standard_error"] ** 2)[often] * 3  # 200 / 50 - 1
        assert (gap[often] / np.sqrt(squared)).std() == pytest.approx(1, abs=0.12) and often.sum() > 300
    one = many.futures[many.futures["horizon"] == 52]["expected_orders_standard_error"]
    # a shock is shared, so the total is less sure than its customers would be apart
    assert many.totals["expected_orders_standard_error"].iloc[-1] > 1.2 * np.sqrt((one**2).sum())
