"""Order models against published numbers, closed forms at high precision, simulations with known truth."""

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import BGBB, BGNBD, MBGNBD, NBD, ParetoNBD
from tests.models_worlds import beta_geometric_customers, cdnow, history, lifetimes_file, pareto_customers

FIRST = history(2, 30.43, 38.86)  # customer 1 of Fader, Hardie & Lee (2005)
LOYAL = history(26, 30.86, 31)  # customer 1516
ORDER_MODELS = [ParetoNBD, MBGNBD, BGNBD, NBD]
KNOWN = {
    ParetoNBD: ParetoNBD(r=0.5533, alpha=10.578, s=0.6062, beta=11.669),
    MBGNBD: MBGNBD(r=0.525, alpha=6.183, a=0.891, b=1.614),
    BGNBD: BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426),
    NBD: NBD(r=0.385, alpha=12.072),
}


@pytest.fixture(scope="module")
def fits():
    return {model: model.fit(cdnow()) for model in ORDER_MODELS}


@pytest.fixture(scope="module")
def donations():
    frame = pd.read_csv(lifetimes_file("donations.csv"))
    return frame.rename(columns={"periods": "n_periods"})


# ---- published numbers


def test_cdnow_is_the_data_of_the_papers():
    """2,357 customers of whom 946 bought again (Fader & Hardie)."""
    assert len(cdnow()) == 2357 and (cdnow()["frequency"] > 0).sum() == 946


def test_pareto_nbd_reproduces_fader_hardie_lee_2005(fits):
    fit = fits[ParetoNBD]
    assert fit.converged and fit.warnings == []
    assert fit.params == pytest.approx({"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669}, rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-9594.976, abs=6e-4)


def test_bg_nbd_reproduces_fader_hardie_lee_2005(fits):
    fit = fits[BGNBD]
    assert fit.params == pytest.approx({"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}, rel=2e-4)
    assert fit.log_likelihood == pytest.approx(-9582.43, abs=5e-3)
    times = np.array([1 / 7, 1, 3, 31.857, 32, 78])
    expected = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.858]
    assert fit.expected_purchases(times) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("model", "who", "t", "expected", "alive"),
    [
        (ParetoNBD, LOYAL, 52, 25.46, 0.998),
        (BGNBD, LOYAL, 52, 25.76, 0.969),
        (ParetoNBD, FIRST, 39, 1.455, None),
        (BGNBD, FIRST, 39, 1.226, None),
    ],
)
def test_customers_of_the_papers(fits, model, who, t, expected, alive):
    digits = 5e-3 if expected > 2 else 5e-4
    assert fits[model].conditional_expected_purchases(who, t)[0] == pytest.approx(expected, abs=digits)
    if alive:
        assert fits[model].probability_alive(who)[0] == pytest.approx(alive, abs=5e-4)


def test_bg_nbd_share_without_an_order():
    assert KNOWN[BGNBD].probability_of_n_purchases(0, 39) == pytest.approx(0.57379, abs=5e-6)


def test_bgbb_reproduces_fader_hardie_shang_2010(donations):
    fit = BGBB.fit(donations, donations["weights"])
    assert fit.customers == 11104 and fit.converged
    assert fit.params == pytest.approx({"alpha": 1.204, "beta": 0.750, "gamma": 0.657, "delta": 2.783}, abs=6e-4)
    assert fit.log_likelihood == pytest.approx(-33225.58, abs=5e-3)


def test_one_time_buyers_are_alive_for_certain_only_in_bg_nbd():
    """The known fault of BG/NBD (Batislam et al. 2007), and why MBG/NBD stands beside it."""
    silent = history(0, 0, 38)
    assert KNOWN[BGNBD].probability_alive(silent)[0] == 1
    assert KNOWN[MBGNBD].probability_alive(silent)[0] < 0.7
    assert KNOWN[ParetoNBD].probability_alive(silent)[0] < 0.7


def test_repr_reads_like_a_sentence(fits):
    assert repr(fits[ParetoNBD]) == "<ParetoNBD: 2,357 customers, r=0.553, alpha=10.58, s=0.606, beta=11.67>"


# ---- closed forms at high precision


def exact_pareto(params, x, tx, age):
    """ln L and P(alive) by the difference of two hypergeometric functions (Fader & Hardie 2005, eq. 18 to 20)."""
    with mp.workdps(120):
        r, alpha, s, beta, tx, age = (mp.mpf(v) for v in (*params, tx, age))
        whole = r + s + x
        big, second = (alpha, s + 1) if alpha >= beta else (beta, r + x)

        def part(y):
            return mp.hyp2f1(whole, second, whole + 1, abs(alpha - beta) / (big + y)) / (big + y) ** whole

        dead = s / whole * (part(tx) - part(age))
        alive = (alpha + age) ** -(r + x) * (beta + age) ** -s
        front = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
        return float(front + mp.log(alive + dead)), float(alive / (alive + dead))


@pytest.mark.parametrize("params", [(0.55, 10.6, 0.6, 11.7), (2, 8, 1, 8), (0.3, 50, 0.1, 0.5), (9, 0.5, 4, 60)])
@pytest.mark.parametrize(
    "who", [(0, 0, 0), (0, 0, 39), (1, 0.001, 3000), (5, 31, 31), (5000, 30.9, 31), (5000, 31, 31), (800, 500, 900)]
)
def test_pareto_likelihood_and_p_alive_at_awkward_points(params, who):
    model = ParetoNBD(**dict(zip(("r", "alpha", "s", "beta"), params, strict=True)))
    rows, _ = model._log_likelihood_rows(model.params, *(np.array([float(v)]) for v in who))
    log_l, alive = exact_pareto(params, *who)
    assert rows[0] == pytest.approx(log_l, rel=1e-11, abs=1e-10)
    assert model.probability_alive(history(*who))[0] == pytest.approx(alive, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("s", [0.05, 1.0, 1.0 + 1e-9, 3.0])
def test_pareto_conditional_expectation_is_smooth_through_s_1(s):
    """Eq. 41: (r + x)(beta + T)/((alpha + T)(s − 1)) · (1 − ((beta + T)/(beta + T + t))^(s − 1)) · P(alive)."""
    model = ParetoNBD(r=0.55, alpha=10.6, s=s, beta=11.7)
    with mp.workdps(50):
        r, alpha, beta, age, power = (mp.mpf(v) for v in (0.55, 10.6, 11.7, 38.86, s))
        power += mp.mpf(10) ** -25
        b = beta + age
        exact = (r + 2) / (alpha + age) * b / (power - 1) * (1 - (b / (b + 39)) ** (power - 1))
    exact = float(exact) * model.probability_alive(FIRST)[0]
    assert model.conditional_expected_purchases(FIRST, 39)[0] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("s", [0.05, 1.0, 8.0])
@pytest.mark.parametrize("delta", [1e-6, 0.0019, 0.4])
def test_pareto_det_is_the_confluent_hypergeometric_form(s, delta):
    """Fader, Hardie & Lee (2005), "RFM and CLV": DET holds U(s, s, δ(β + T)); here by Kummer U(1, 2 − s, ·)."""
    model = ParetoNBD(r=0.55, alpha=10.6, s=s, beta=11.7)
    b = 11.7 + 38.86
    time_alive = b * float(mp.hyperu(1, 2 - mp.mpf(s), delta * b))
    exact = model.probability_alive(FIRST)[0] * 2.55 / (10.6 + 38.86) * time_alive
    assert model.discounted_expected_transactions(FIRST, delta)[0] == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(("model", "first"), [(BGNBD, 0), (MBGNBD, 1)])
@pytest.mark.parametrize("a", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("who", [(0, 0, 39), (2, 30.43, 38.86), (40, 31, 31)])
def test_beta_geometric_conditional_expectation_against_the_closed_form(model, first, a, who):
    """(a + b + n − 1)/(a − 1) · (1 − ((α + T)/(α + T + t))^(r + x) ₂F₁(r + x, b + n; a + b + n − 1; t/(α + T + t)))."""
    x, _tx, age = who
    fitted = model(r=0.243, alpha=4.414, a=a, b=2.426)
    with mp.workdps(60):
        r, alpha, b, t, shape = mp.mpf(0.243), mp.mpf(4.414), mp.mpf(2.426) + x + first, 52, mp.mpf(a)
        shape += mp.mpf(10) ** -30
        now = alpha + mp.mpf(age)
        series = mp.hyp2f1(r + x, b, shape + b - 1, t / (now + t))
        exact = float((shape + b - 1) / (shape - 1) * (1 - (now / (now + t)) ** (r + x) * series))
    exact *= fitted.probability_alive(history(*who))[0]
    assert fitted.conditional_expected_purchases(history(*who), 52)[0] == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("model", [ParetoNBD, MBGNBD, BGNBD, NBD])
def test_nothing_breaks_for_extreme_histories(model):
    """Recency = T, thousands of orders, no order, no time: finite, ordered numbers (lifetimes gives NaN here)."""
    rows = [(5000, 31, 31), (5000, 1, 31), (0, 0, 0), (0, 0, 1e5), (1, 1e-6, 1e4), (3, 31, 31)]
    h = pd.concat([history(*row) for row in rows], ignore_index=True)
    fitted = KNOWN[model]
    alive, soon, later = (
        fitted.probability_alive(h),
        fitted.conditional_expected_purchases(h, 1.0),
        fitted.conditional_expected_purchases(h, 500.0),
    )
    assert ((alive >= 0) & (alive <= 1)).all() and np.isfinite(later).all()
    assert (later >= soon).all() and (soon >= 0).all()
    assert (fitted.discounted_expected_transactions(h, 0.002) <= fitted.discounted_expected_transactions(h, 1e-4)).all()


# ---- identities that hold whatever the code


@pytest.mark.parametrize("model", ORDER_MODELS)
def test_counts_of_a_new_customer_add_up(model):
    """Σ P(X(t) = n) = 1 and Σ n P(X(t) = n) = E X(t)."""
    n = np.arange(4000)
    p = KNOWN[model].probability_of_n_purchases(n, 39.0)
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert n @ p == pytest.approx(KNOWN[model].expected_purchases(39.0), rel=1e-8)


def test_bgbb_counts_of_a_new_customer_add_up():
    model, n = BGBB(alpha=1.2, beta=0.75, gamma=0.66, delta=2.78), np.arange(13)
    p = model.probability_of_n_purchases(n, 12)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert n @ p == pytest.approx(model.expected_purchases(12), rel=1e-12)


@pytest.mark.parametrize("model", ORDER_MODELS)
def test_discounting_within_a_horizon_is_the_integral_of_the_order_rate(model):
    """∫ e^(−δu) dE(u) by a fine sum of increments of the conditional expectation."""
    fitted, delta = KNOWN[model], 0.01
    edges = np.linspace(0, 52, 1041)
    total = fitted.conditional_expected_purchases(pd.concat([FIRST] * len(edges)), edges)
    exact = np.diff(total) @ np.exp(-delta * (edges[1:] + edges[:-1]) / 2)
    got = fitted.discounted_expected_transactions(FIRST, delta, horizon=52)[0]
    assert got == pytest.approx(exact, rel=1e-6)


def test_without_discount_and_end_orders_may_be_endless():
    assert ParetoNBD(r=1, alpha=5, s=0.9, beta=5).discounted_expected_transactions(FIRST, 0)[0] == np.inf
    finite = MBGNBD(r=1, alpha=5, a=3, b=2)
    long = finite.discounted_expected_transactions(FIRST, 1e-9)[0]
    assert finite.discounted_expected_transactions(FIRST, 0)[0] == pytest.approx(long, rel=1e-5)


def test_pareto_without_death_is_the_nbd():
    """s/beta → 0: the same likelihood, so that the two compare on one scale."""
    h, params = cdnow(), {"r": 0.4, "alpha": 12.0, "s": 1e-15, "beta": 10.0}
    data = [h[c].to_numpy(float) for c in ("frequency", "recency", "T")]
    with_death, _ = ParetoNBD._log_likelihood_rows(params, *data)
    without, _ = NBD._log_likelihood_rows(params, data[0], data[2])
    assert with_death == pytest.approx(without, abs=1e-6)


GRADIENT_POINTS = {
    ParetoNBD: (0.7, 6.0, 1.0, 9.0),
    MBGNBD: (0.5, 6.0, 0.9, 1.6),
    BGNBD: (0.5, 6.0, 1.0, 1.6),
    NBD: (0.5, 9.0),
    BGBB: (1.2, 0.7, 0.6, 2.8),
}


@pytest.mark.parametrize("model", GRADIENT_POINTS)
def test_gradients_are_those_of_the_likelihood(model):
    if model is BGBB:
        data = [np.array(v, float) for v in ([0, 1, 3, 6], [0, 4, 5, 6], [6, 6, 6, 6])]
    else:
        data = [np.array(v, float) for v in ([0, 1, 3, 300], [0, 0.5, 39, 20], [39, 39, 39, 30])]
        data = [data[0], data[2]] if model is NBD else data
    point = np.array(GRADIENT_POINTS[model])

    def value(v):
        return model._log_likelihood_rows(dict(zip(model.names, v, strict=True)), *data)[0]

    _, slopes = model._log_likelihood_rows(dict(zip(model.names, point, strict=True)), *data)
    for i, name in enumerate(model.names):
        step = np.eye(len(point))[i] * 1e-4 * point[i]
        numeric = (
            8 * (value(point + step) - value(point - step)) - value(point + 2 * step) + value(point - 2 * step)
        ) / (12 * step[i])
        assert slopes[i] == pytest.approx(numeric, rel=1e-7, abs=1e-8), name


# ---- invariances


@pytest.mark.parametrize("model", ORDER_MODELS)
def test_days_and_weeks_are_one_model(model, fits):
    """alpha and beta carry the unit; the density of x order times changes by 7^−x."""
    h = cdnow().assign(recency=lambda f: f["recency"] * 7, T=lambda f: f["T"] * 7)
    days = model.fit(h)
    scale = {"alpha": 7, "beta": 7}
    assert days.params == pytest.approx({k: v * scale.get(k, 1) for k, v in fits[model].params.items()}, rel=1e-7)
    shift = h["frequency"].sum() * np.log(7)
    assert days.log_likelihood == pytest.approx(fits[model].log_likelihood - shift, abs=1e-6)


def test_the_argument_is_not_edited():
    h = cdnow().copy()
    ParetoNBD.fit(h)
    pd.testing.assert_frame_equal(h, cdnow())


# ---- simulations with known truth


def test_pareto_recovers_its_parameters_and_its_p_alive_is_calibrated():
    truth = {"r": 0.8, "alpha": 4.0, "s": 0.9, "beta": 25.0}
    h, alive = pareto_customers(6000, **truth, rng=np.random.default_rng(11))
    fit = ParetoNBD.fit(h)
    assert fit.converged
    for name, value in truth.items():
        assert abs(fit.params[name] - value) < 3 * fit.standard_errors[name], name
    p = fit.probability_alive(h)
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = (p >= low) & (p < high)
        error = np.sqrt((p * (1 - p))[inside].sum()) / inside.sum()
        assert inside.sum() > 100 and abs(alive[inside].mean() - p[inside].mean()) < 4 * error


@pytest.mark.parametrize("model", [BGNBD, MBGNBD])
def test_beta_geometric_recovers_its_parameters(model):
    truth = {"r": 1.2, "alpha": 5.0, "a": 0.8, "b": 2.5}
    rng = np.random.default_rng(12)
    h = beta_geometric_customers(5000, **truth, rng=rng, first_may_be_last=model is MBGNBD)
    fit = model.fit(h)
    assert fit.converged
    for name, value in truth.items():
        assert abs(fit.params[name] - value) < 3 * fit.standard_errors[name], name


def test_bgbb_recovers_its_parameters():
    rng, n, periods = np.random.default_rng(5), 6000, 12
    truth = {"alpha": 1.5, "beta": 1.0, "gamma": 0.8, "delta": 5.0}
    p, theta = rng.beta(1.5, 1.0, (n, 1)), rng.beta(0.8, 5.0, (n, 1))
    alive = np.cumprod(rng.random((n, periods)) >= theta, axis=1)
    used = alive * (rng.random((n, periods)) < p)
    last = (used * np.arange(1, periods + 1)).max(axis=1)
    fit = BGBB.fit(pd.DataFrame({"frequency": used.sum(axis=1), "recency": last, "n_periods": periods}))
    for name, value in truth.items():
        assert abs(fit.params[name] - value) < 3 * fit.standard_errors[name], name


@pytest.mark.parametrize("populations", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_standard_errors_are_honest(populations):
    """Over small populations 95 % intervals on the log scale cover about 95 % (a BFGS inverse covers far less)."""
    truth = {"r": 1.2, "alpha": 5.0, "a": 0.8, "b": 2.5}
    rng = np.random.default_rng(21)
    inside, total = 0, 0
    for _ in range(populations):
        h = beta_geometric_customers(400, **truth, rng=rng, first_may_be_last=True, most=150)
        fit = MBGNBD.fit(h)
        width = 1.96 * np.sqrt(np.diag(fit.covariance_log))
        off = [np.log(fit.params[n] / truth[n]) for n in fit.log_parameter_names]
        inside, total = inside + (np.abs(off) < width).sum(), total + 4
    assert 0.90 < inside / total < 0.99


@pytest.mark.parametrize("model", ORDER_MODELS)
def test_future_draws_have_the_mean_and_the_silence_of_the_model(model):
    """Mean = conditional expectation; P(no order) = 1 − P(alive) + P(alive) · E e^(−λ t), death apart for Pareto."""
    fitted, t, draws = KNOWN[model], 26.0, 200_000
    h = pd.concat([FIRST, LOYAL, history(0, 0, 30)], ignore_index=True)
    sample = fitted.sample_future_purchases(h, t, draws, np.random.default_rng(8))
    assert sample.shape == (3, draws)
    error = sample.std(axis=1) / np.sqrt(draws)
    assert (np.abs(sample.mean(axis=1) - fitted.conditional_expected_purchases(h, t)) < 4.5 * error).all()
    if model is not ParetoNBD:
        alive, shape = fitted.probability_alive(h), fitted.params["r"] + h["frequency"]
        silent = ((fitted.params["alpha"] + h["T"]) / (fitted.params["alpha"] + h["T"] + t)) ** shape
        none = 1 - alive + alive * silent
        assert (np.abs((sample == 0).mean(axis=1) - none) < 4.5 * np.sqrt(none * (1 - none) / draws) + 1e-9).all()


@pytest.mark.parametrize("model", [ParetoNBD, MBGNBD, NBD])
def test_each_draw_of_the_latents_uses_its_own_parameters(model):
    """Even draws under one set of parameters, odd draws under another: each half has its own P(alive) and mean."""
    one, two = KNOWN[model], model(**{k: v * (2 if k == "r" else 1.3) for k, v in KNOWN[model].params.items()})
    params = {k: np.tile([one.params[k], two.params[k]], 500) for k in one.params}
    h = pd.concat([FIRST] * 50, ignore_index=True)
    latent = one.sample_latents(h, 1000, np.random.default_rng(2), params)
    orders = latent["rate"] * np.minimum(latent["lifetime"], 39.0)
    for start, fitted in ((0, one), (1, two)):
        assert latent["alive"][:, start::2].mean() == pytest.approx(fitted.probability_alive(FIRST)[0], abs=0.012)
        expected = fitted.conditional_expected_purchases(FIRST, 39)[0]
        assert orders[:, start::2].mean() == pytest.approx(expected, rel=0.03)


def test_bgbb_future_draws_have_the_mean_of_the_closed_form(donations):
    """Fader, Hardie & Shang (2010), eq. 13, in high precision."""
    model = BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    h = donations[["frequency", "recency", "n_periods"]]
    with mp.workdps(40):
        alpha, beta, gamma, delta = (mp.mpf(model.params[k]) for k in model.names)
        x, tx, n, t = 4, 5, 6, 5
        b = mp.beta
        parts = [b(alpha + x, beta + n - x) * b(gamma, delta + n)]
        parts += [b(alpha + x, beta + e - x) * b(gamma + 1, delta + e) for e in range(tx, n)]
        front = b(alpha + x + 1, beta + n - x) * b(gamma, delta) * delta / (gamma - 1)
        front *= mp.gamma(gamma + delta) / mp.gamma(1 + delta)

        def g(k):
            return mp.gamma(1 + delta + k) / mp.gamma(gamma + delta + k)

        exact = float(front * (g(n) - g(n + t)) / mp.fsum(parts))
    row = (h["frequency"] == x) & (h["recency"] == tx)
    assert model.conditional_expected_purchases(h[row], t)[0] == pytest.approx(exact, rel=1e-10)
    sample = model.sample_future_purchases(h, t, 100_000, np.random.default_rng(1))
    gap = np.abs(sample.mean(axis=1) - model.conditional_expected_purchases(h, t))
    assert (gap < 4.5 * sample.std(axis=1) / np.sqrt(100_000)).all()


def test_parameter_draws_have_the_covariance_of_the_fit(fits):
    fit = fits[ParetoNBD]
    draws = fit.draw_params(40_000, np.random.default_rng(4))
    logs = np.log([draws[n] for n in fit.log_parameter_names])
    assert np.cov(logs) == pytest.approx(fit.covariance_log, rel=0.05, abs=2e-4)
    known = KNOWN[ParetoNBD].draw_params(3, np.random.default_rng(4))
    assert (known["alpha"] == 10.578).all()


# ---- verdicts and refusals


def test_a_loyal_base_is_not_fitted_with_death():
    """No customer ever leaves: the dropout is not identified and the NBD without death is the model."""
    rng = np.random.default_rng(3)
    rate, age = rng.gamma(2.0, 0.25, 300), np.full(300, 40.0)
    x = rng.poisson(rate * age)
    recency = np.where(x > 0, age * rng.random(300) ** (1 / np.maximum(x, 1)), 0)
    h = pd.DataFrame({"frequency": x, "recency": recency, "T": age})
    nbd = NBD.fit(h)
    assert nbd.converged and abs(nbd.params["r"] - 2) < 3 * nbd.standard_errors["r"]
    for model in (ParetoNBD, MBGNBD, BGNBD):
        fit = model.fit(h)
        assert not fit.converged and "not_identified" in fit.warnings
        assert fit.log_likelihood >= nbd.log_likelihood - 0.01


def test_no_repeats_and_no_rows_are_said():
    nobody = pd.DataFrame({"frequency": [0, 0], "recency": [0.0, 0.0], "T": [5.0, 9.0]})
    for model in ORDER_MODELS:
        fit = model.fit(nobody)
        assert (fit.converged, fit.warnings) == (False, ["no_repeats"])
        assert model.fit(nobody.iloc[:0]).warnings == ["no_rows"]
        with pytest.raises(Refused, match="no_repeats"):
            fit.conditional_expected_purchases(nobody, 1.0)
    assert BGBB.fit(nobody.rename(columns={"T": "n_periods"})).warnings == ["no_repeats"]


def test_equal_rates_end_at_the_boundary():
    """Every customer orders equally often: r and alpha run away together, and the fit says so."""
    h = pd.DataFrame({"frequency": [10] * 50, "recency": [19.0] * 50, "T": [20.0] * 50})
    fit = NBD.fit(h)
    assert not fit.converged and fit.warnings == ["boundary"]
    assert fit.conditional_expected_purchases(h, 10)[0] == pytest.approx(5, rel=1e-2)
    with pytest.raises(Refused, match="boundary"):
        fit.draw_params(5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"frequency": [1.5, 0]}, '"frequency" is not a whole number in 1 of 2 rows'),
        ({"frequency": [-1, 0]}, '"frequency" is negative'),
        ({"recency": [9.0, 0]}, '"recency" is larger than "T" in 1 of 2 rows, first in row 0'),
        ({"recency": [3.0, 2.0]}, '"recency" is above 0 though frequency is 0'),
        ({"T": [5.0, np.nan]}, '"T" is not a finite number in 1 of 2 rows'),
        ({"T": ["x", "y"]}, '"T" must hold numbers'),
    ],
)
def test_wrong_histories_get_one_sentence(change, sentence):
    h = pd.DataFrame({"frequency": [2, 0], "recency": [3.0, 0.0], "T": [5.0, 5.0]}).assign(**change)
    for call in (ParetoNBD.fit, KNOWN[MBGNBD].probability_alive):
        with pytest.raises(Refused) as refusal:
            call(h)
        assert sentence in str(refusal.value)


def test_other_mistakes_get_one_sentence_too():
    with pytest.raises(Refused, match='needs the column "recency"'):
        ParetoNBD.fit(cdnow().drop(columns="recency"))
    with pytest.raises(Refused, match="2 weights for 2,357 rows"):
        ParetoNBD.fit(cdnow(), np.ones(2))
    with pytest.raises(Refused, match="alpha must be above 0"):
        NBD(r=1, alpha=0)
    with pytest.raises(Refused, match="discount rate"):
        KNOWN[NBD].discounted_expected_transactions(FIRST, -0.1)
