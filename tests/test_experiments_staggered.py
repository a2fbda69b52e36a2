"""Group-time effects of a staggered roll-out against hand computation, regressions, a jackknife, and known truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from ltvlab_utils.errors import Refused
from ltvlab_utils.experiments import group_time_att

KEYS = {"unit": "i", "time": "t", "first_treated": "g", "outcome": "y"}


def simulated(seed=1, n=600, never=True, times=range(1, 7), noise=0.5):
    """Effect of a unit of group g, e times after its start: (e + 1) x g / 10. Returns the panel and that truth."""
    rng = np.random.default_rng(seed)
    g = rng.choice([0, 3, 4, 6] if never else [3, 4, 6], n)
    t = np.array(list(times))
    gain = np.where((g[:, None] > 0) & (t >= g[:, None]), (t - g[:, None] + 1) * g[:, None] / 10, 0.0)
    # groups differ in level, not in trend
    y = g[:, None] + rng.normal(size=(n, 1)) + np.sqrt(t) + gain + noise * rng.normal(size=(n, len(t)))
    grid = {"i": np.repeat(np.arange(n), len(t)), "t": np.tile(t, n), "g": np.repeat(g, len(t)), "y": y.ravel()}
    return pd.DataFrame(grid), lambda g, t: np.where(t >= g, (t - g + 1) * g / 10, 0.0)


def test_two_by_two_by_hand():
    """Treated rise by 3 and 5, controls by 1, 1 and 4: ATT 4 - 2 = 2; SE^2 = 1/2 + 2/3 (variances over n)."""
    panel = pd.DataFrame({"i": list("aabbccddee"), "t": [1, 2] * 5, "g": [2] * 4 + [0] * 6,
                          "y": [0, 3, 1, 6, 5, 6, 2, 3, 0, 4]})  # fmt: skip
    fit = group_time_att(panel, **KEYS)
    row = fit.table.iloc[0]
    assert len(fit.table) == 1 and (row["first_treated"], row["time"]) == (2, 2)
    assert row["att"] == pytest.approx(2.0)
    assert row["standard_error"] == pytest.approx(np.sqrt(1 / 2 + 2 / 3))
    for kind in ("simple", "dynamic", "group", "calendar"):
        assert fit.aggregate(kind)["att"].tolist() == pytest.approx([2.0])
        assert fit.overall(kind)["standard_error"].item() == pytest.approx(np.sqrt(1 / 2 + 2 / 3))


@pytest.mark.parametrize("control", ["never", "notyet"])
def test_every_cell_is_a_regression_of_change_on_treatment(control):
    """ATT(g, t) and its standard error are those of HC0 least squares on the units that are compared."""
    panel, _ = simulated()
    wide, group = panel.pivot(index="i", columns="t", values="y"), panel.groupby("i")["g"].first()
    table = group_time_att(panel, **KEYS, control=control).table
    assert len(table) == 3 * 5
    for row in table.itertuples():
        base = row.first_treated - 1 if row.time >= row.first_treated else row.time - 1
        others = group == 0
        if control == "notyet":
            others |= (group > max(row.time, base)) & (group != row.first_treated)
        used = others | (group == row.first_treated)
        change = (wide[row.time] - wide[base])[used]
        fit = sm.OLS(change, sm.add_constant((group[used] == row.first_treated).astype(float))).fit(cov_type="HC0")
        assert (row.att, row.standard_error) == pytest.approx((fit.params.iloc[1], fit.bse.iloc[1]), rel=1e-9)


def test_aggregates_are_means_by_group_size():
    panel, _ = simulated()
    fit = group_time_att(panel, **KEYS)
    share = panel.groupby("g")["i"].nunique() / panel["i"].nunique()
    cells = fit.table.assign(w=fit.table["first_treated"].map(share), e=fit.table["time"] - fit.table["first_treated"])
    post = cells[cells["e"] >= 0]

    def mean(part):
        return np.average(part["att"], weights=part["w"])

    assert fit.aggregate("simple")["att"].item() == pytest.approx(mean(post))
    dynamic = fit.aggregate("dynamic").set_index("event_time")["att"]
    assert dynamic.to_dict() == pytest.approx({e: mean(part) for e, part in cells.groupby("e")})
    assert fit.aggregate("group").set_index("first_treated")["att"].to_dict() == pytest.approx(
        {g: mean(part) for g, part in post.groupby("first_treated")}
    )
    assert fit.aggregate("calendar").set_index("time")["att"].to_dict() == pytest.approx(
        {t: mean(part) for t, part in post.groupby("time")}
    )
    assert fit.overall("dynamic")["att"].item() == pytest.approx(dynamic[dynamic.index >= 0].mean())
    assert fit.total(2)["att"].item() == pytest.approx(dynamic[0] + dynamic[1])


@pytest.mark.parametrize("kind", ["simple", "dynamic", "group", "calendar"])
def test_standard_errors_agree_with_a_jackknife_over_units(kind):
    panel, _ = simulated(n=150)
    units = panel["i"].unique()
    left = [group_time_att(panel[panel["i"] != i], **KEYS).aggregate(kind)["att"].to_numpy() for i in units]
    jackknife = np.sqrt((len(units) - 1) * np.var(left, axis=0))
    assert group_time_att(panel, **KEYS).aggregate(kind)["standard_error"].to_numpy() == pytest.approx(
        jackknife, rel=0.04
    )


def test_known_effects_are_found_where_two_way_fixed_effects_are_off():
    panel, truth = simulated(n=3000)
    fit = group_time_att(panel, **KEYS)
    expected = truth(fit.table["first_treated"], fit.table["time"])
    z = (fit.table["att"] - expected) / fit.table["standard_error"]
    assert (z.abs() < 4).all()
    wide = panel.pivot(index="i", columns="t", values="y")
    on = panel.assign(on=(panel["g"] > 0) & (panel["t"] >= panel["g"])).pivot(index="i", columns="t", values="on")

    def within(table):
        values = table.to_numpy(dtype=float)
        return (values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()).ravel()

    two_way = within(on) @ within(wide) / (within(on) @ within(on))
    treated = panel[(panel["g"] > 0) & (panel["t"] >= panel["g"])]
    mean_effect = truth(treated["g"], treated["t"]).mean()
    simple = fit.aggregate("simple").iloc[0]
    assert abs(simple["att"] - mean_effect) < 4 * simple["standard_error"]
    assert abs(two_way - mean_effect) > 5 * simple["standard_error"]


def test_intervals_of_the_simple_aggregate_cover():
    hits = 0
    for seed in range(200):
        panel, truth = simulated(seed + 100, n=120, noise=1.0)
        row = group_time_att(panel, **KEYS).aggregate("simple").iloc[0]
        # the estimand weighs groups by their share, which each sample draws anew: 1/3 each
        cells = [(g, t) for g in (3, 4, 6) for t in range(1, 7) if t >= g]
        hits += row["low"] <= np.mean([truth(g, t) for g, t in cells]) <= row["high"]
    assert 0.90 <= hits / 200 <= 0.99


def test_without_never_treated_the_last_group_is_control_only():
    panel, truth = simulated(never=False, n=1500)
    with pytest.raises(Refused, match='use control="notyet"'):
        group_time_att(panel, **KEYS)
    table = group_time_att(panel, **KEYS, control="notyet").table
    assert set(table["first_treated"]) == {3, 4} and table["time"].max() == 5
    z = (table["att"] - truth(table["first_treated"], table["time"])) / table["standard_error"]
    assert (z.abs() < 4).all()


def test_ways_to_write_never_agree_and_the_always_treated_are_counted():
    panel, _ = simulated(n=200)
    expected = group_time_att(panel, **KEYS).table
    for never in (np.nan, np.inf, 99.0):
        written = panel.assign(g=panel["g"].astype(float).replace(0, never))
        pd.testing.assert_frame_equal(group_time_att(written, **KEYS).table, expected)
    nullable = panel.assign(g=panel["g"].astype("Int64").replace(0, pd.NA))
    pd.testing.assert_frame_equal(group_time_att(nullable, **KEYS).table, expected)
    early = panel[panel["i"] < 10].assign(i=lambda f: f["i"] + 1000, g=1)
    fit = group_time_att(pd.concat([panel, early]), **KEYS)
    assert fit.n_always_treated == 10
    pd.testing.assert_frame_equal(fit.table, expected)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p.drop(columns="y"), 'no column "y"'),
        (lambda p: p.iloc[1:], "1 of 20 units are not seen at every time"),
        (lambda p: pd.concat([p, p.head(1)]), "two rows for i 0 at t 1"),
        (lambda p: p.assign(y=p["y"].mask(p["i"] == 3)), "6 of 120 rows of the panel lack"),
        (lambda p: p.assign(g=p["g"] + (p["i"] == 2) * p["t"]), "1 units have more than one g, for example i 2"),
        (lambda p: p.assign(g=0), "No group starts treatment"),
        (lambda p: p.assign(t="2025-01"), "should hold numbers"),
    ],
)
def test_a_faulty_panel_is_refused_in_a_sentence(change, sentence):
    panel, _ = simulated(n=20)
    with pytest.raises(Refused, match=sentence):
        group_time_att(change(panel), **KEYS)


def test_unknown_choices_name_the_nearest():
    panel, _ = simulated(n=20)
    with pytest.raises(Refused, match='Did you mean "never"'):
        group_time_att(panel, **KEYS, control="nevr")
    with pytest.raises(Refused, match='Did you mean "dynamic"'):
        group_time_att(panel, **KEYS).aggregate("dynamics")
