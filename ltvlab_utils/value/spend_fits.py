"""Which spend model each segment rests on (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from ltvlab_utils import histories as hist
from ltvlab_utils.models import GammaGamma
from ltvlab_utils.value.choice import ALL, MIN_CUSTOMERS, MIN_REPEATERS, Choice, Fits, attempt, fit_rows, usable

SAME_Q = 50.0  # beyond it customers hardly differ in their mean spend
HEAVY_Q = 1.5  # the mean of spend exists, its variance does not


def _spend_by_moments(h: pd.DataFrame) -> Choice:
    """One mean for all customers (gamma by moments) where GammaGamma has no usable fit: q so large that customers do
    not differ."""
    amounts = h.loc[h["monetary_value"] > 0, "monetary_value"]
    if len(amounts) == 0:
        amounts = (h["revenue_total"] / (h["frequency"] + 1)).loc[lambda a: a > 0]
    mean = float(amounts.mean()) if len(amounts) else 1e-9
    spread = float(amounts.var()) if len(amounts) > 1 else mean**2
    p = float(np.clip(mean**2 / max(spread, 1e-12), 0.05, 1e4))
    return Choice("gamma_gamma", GammaGamma(p=p, q=1e6, v=mean * 1e6 / p), "prior", ("spend_pooled",))


def _spend_heavy(h: pd.DataFrame) -> Choice:
    """GammaGamma with q held at HEAVY_Q, p and v by maximum likelihood: where the free fit ends at a boundary or at a
    q whose mean spend does not exist (a whale among small customers). Customers do differ there, so each keeps to its
    own mean."""
    h = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)]
    x, z = h["frequency"].to_numpy(float), h["monetary_value"].to_numpy(float)
    order = np.lexsort((z, x))  # sums, and with them the fit, must not depend on names
    x, z = x[order], z[order]
    middle = float(np.median(z))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        params = {"p": float(np.exp(theta[0])), "q": HEAVY_Q, "v": float(middle * np.exp(theta[1]))}
        rows, (by_p, _, by_v) = GammaGamma._log_likelihood_rows(params, x, z)
        return -rows.sum(), -np.array([params["p"] * by_p.sum(), params["v"] * by_v.sum()])

    start = np.log([2.0, (HEAVY_Q - 1) / 2])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-3, 9), (-12, 12)]).x
    model = GammaGamma(p=float(np.exp(best[0])), q=HEAVY_Q, v=float(middle * np.exp(best[1])))
    return Choice("gamma_gamma", model, "prior", ("spend_heavy_tail",))


def _differ(model) -> bool:
    """A fit that failed although customers differ: with a large q they do not, and one mean serves all."""
    return model is not None and bool(model.params.get("q", np.nan) < SAME_Q)


def fit_spend(fits: Fits, h: pd.DataFrame, single: pd.DataFrame) -> None:
    """Spend models of each segment from `h`, which may be weighted; where none is usable, stand-ins from `single`
    customers."""
    segments = sorted(h["model_segment"].unique())
    buyers = h[(h["frequency"] > 0) & (h["monetary_value"] > 0)]
    enough = lambda part, least: hist.customers(part) >= least  # noqa: E731
    attempted = lambda part: attempt("gamma_gamma", part, hist.weights(part))  # noqa: E731
    pooled = attempted(buyers) if enough(buyers, MIN_REPEATERS) else (None, "too_few")
    stands_in = []
    for segment in segments:
        part = buyers[buyers["model_segment"] == segment]
        if len(segments) == 1:
            model, warning = pooled
        else:
            model, warning = attempted(part) if enough(part, MIN_CUSTOMERS) else (None, "too_few")
        if usable(model):
            fits.spend[segment] = Choice("gamma_gamma", model, "own")
        elif usable(pooled[0]):
            fits.spend[segment] = Choice("gamma_gamma", pooled[0], "pooled", ("spend_pooled",))
            stands_in.append(segment)
        elif _differ(model) or _differ(pooled[0]):
            some = single[(single["frequency"] > 0) & (single["monetary_value"] > 0)]
            own = some[some["model_segment"] == segment]
            fits.spend[segment] = _spend_heavy(own if _differ(model) and len(own) else some)
        else:
            fits.spend[segment] = _spend_by_moments(single)
        fits.models[("gamma_gamma", segment)] = model
        chosen = fits.spend[segment].model is model
        fits.card += fit_rows("gamma_gamma", segment, model, warning, hist.customers(part), chosen)
    if len(segments) > 1:
        more = f"used_by:{'+'.join(stands_in)}" if stands_in else ""
        fits.models[("gamma_gamma", ALL)] = pooled[0]
        fits.card += fit_rows("gamma_gamma", ALL, *pooled, hist.customers(buyers), bool(stands_in), more)
