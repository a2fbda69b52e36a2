"""What `lifetimes` makes of the same histories: a check on the models of this package, never their engine (floor 2)."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.models.base import Model
from ltvlab_utils.models.beta_geometric import BGNBD, MBGNBD
from ltvlab_utils.models.columns import distinct, order_histories, weights_of
from ltvlab_utils.models.gamma_gamma import GammaGamma
from ltvlab_utils.models.pareto_nbd import ParetoNBD

OURS: dict[str, type[Model]] = {
    "pareto_nbd": ParetoNBD,
    "mbg_nbd": MBGNBD,
    "bg_nbd": BGNBD,
    "gamma_gamma": GammaGamma,
}
THEIRS = {
    "pareto_nbd": "ParetoNBDFitter",
    "mbg_nbd": "ModifiedBetaGeoFitter",
    "bg_nbd": "BetaGeoFitter",
    "gamma_gamma": "GammaGammaFitter",
}
VANISHED = 1e-4  # a parameter below this has run to zero


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """lifetimes sets a pandas option when imported, warns and prints: none of it stays."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        option = pd.options.mode.chained_assignment
        try:
            yield
        finally:
            pd.options.mode.chained_assignment = option


def second_opinion(
    model_name: str, histories: pd.DataFrame, weights: np.ndarray | None = None, own: Model | None = None
) -> pd.DataFrame:
    """The fit of lifetimes 0.11 on the same weighted histories.

    `model_name`: pareto_nbd, mbg_nbd, bg_nbd or gamma_gamma. Columns of `histories` as in the model of that name.
    Returns one row a parameter: model, engine, parameter, estimate, standard_error (NaN where lifetimes gives none),
    log_likelihood (papers' scale), customers, converged, warning (codes, comma-separated):
    lifetimes_raised, not_finite, likelihood_disagrees (its log-likelihood is not that of its parameters), boundary (a
    parameter ran to zero), q_below_one, and, when the fit `own` is given, differs (a parameter more than 1 % or a
    log-likelihood more than 0.1 away).
    """
    if model_name not in OURS:
        raise Refused(f'There is no second opinion on "{model_name}".{nearest(model_name, OURS)}')
    ours = OURS[model_name]
    data, w = _grouped(model_name, histories, weights)
    try:
        with _contained():
            estimates, errors, value = _fit(model_name, data, w)
        codes = _judge(ours, estimates, value, data, w)
    except Exception:  # lifetimes raises a dozen types, ConvergenceError the commonest
        estimates, errors, value, codes = {}, {}, np.nan, ["lifetimes_raised"]
    if own is not None and not codes and not _agrees(own, estimates, value):
        codes.append("differs")
    failed = set(codes) - {"differs"}
    return pd.DataFrame(
        {
            "model": model_name,
            "engine": "lifetimes",
            "parameter": list(ours.names),
            "estimate": [float(estimates.get(n, np.nan)) for n in ours.names],
            "standard_error": [float(errors.get(n, np.nan)) for n in ours.names],
            "log_likelihood": value,
            "customers": round(float(w.sum())),
            "converged": not failed,
            "warning": ",".join(codes),
        }
    )


def _grouped(model_name: str, h: pd.DataFrame, weights: np.ndarray | None) -> tuple[list[np.ndarray], np.ndarray]:
    w = weights_of(weights, len(h), "second_opinion")
    if model_name != "gamma_gamma":
        return distinct(order_histories(h, "second_opinion"), w)
    x, z = GammaGamma._columns(h)
    return distinct((x, z), np.where((x > 0) & (z > 0), w, 0.0))


def _fit(model_name: str, data: list[np.ndarray], w: np.ndarray) -> tuple[dict, dict, float]:
    import lifetimes  # costs a second and sets a pandas option: only where it is asked

    fitter = getattr(lifetimes, THEIRS[model_name])(penalizer_coef=0.0)
    # Pareto/NBD would start at random around 1, from numpy's global stream: it starts at 1 here.
    start = {"initial_params": np.ones(4)} if model_name == "pareto_nbd" else {}
    fitter.fit(*data, weights=w, **start)
    # lifetimes rescales time to max T and divides by the customers; Pareto/NBD by the mean weight of a row.
    value = -float(fitter._negative_log_likelihood_) * (w.mean() if model_name == "pareto_nbd" else w.sum())
    if model_name != "gamma_gamma":
        value -= float(w @ data[0]) * np.log(data[2].max())
    errors = getattr(fitter, "standard_errors_", None)
    return fitter.params_.to_dict(), {} if errors is None else errors.to_dict(), value


def _judge(ours: type[Model], estimates: dict, value: float, data: list[np.ndarray], w: np.ndarray) -> list[str]:
    values = [estimates[n] for n in ours.names]
    if not (np.isfinite(values).all() and min(values) > 0 and np.isfinite(value)):
        return ["not_finite"]
    rows, _ = ours._log_likelihood_rows(dict(zip(ours.names, values, strict=True)), *data)
    codes = [] if abs(w @ rows - value) <= 0.01 + 1e-6 * abs(value) else ["likelihood_disagrees"]
    if min(values) < VANISHED:
        codes.append("boundary")
    return codes + (["q_below_one"] if estimates.get("q", 2.0) <= 1 else [])


def _agrees(own: Model, estimates: dict, value: float) -> bool:
    near = all(abs(estimates[n] / own.params[n] - 1) <= 0.01 for n in own.names)
    return near and abs(value - own.log_likelihood) <= 0.1
