"""What every model has: parameters, a fit with a verdict, draws of its parameters (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self

import numpy as np

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.fitting import maximise

ROUGH = 3_000  # distinct rows from which the search begins on a part of them
PIECE = 4096  # rows that are looked at together
SPAN = 9.0  # log-parameters are searched within a factor of e^±9 of 1, or of the data's own unit


def thinned(data: Sequence[np.ndarray], weights: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """About ROUGH of the sorted distinct rows: the heavy ones, and of the others one in so many with their weight."""
    heavy = weights >= weights.sum() / ROUGH
    light = np.flatnonzero(~heavy)
    step = -(-len(light) // ROUGH) if len(light) else 1
    keep = np.sort(np.concatenate([np.flatnonzero(heavy), light[::step]]))
    return [c[keep] for c in data], np.where(heavy[keep], 1.0, step) * weights[keep]


class Model:
    """Parameters on the papers' scale, known or fitted.

    Attributes: `params` (dict), `standard_errors` (dict, NaN where there are none), `log_likelihood` (the paper's
    scale, full constants; NaN if not fitted), `converged`, `warnings` (list of codes), `customers` (weight behind the
    fit), `log_parameter_names` and `covariance_log` (covariance of the log-parameters, in that order).

    Codes: no_rows, no_repeats, no_churn, not_finite, did_not_move, gradient_not_zero, boundary, not_identified and
    q_below_one end in `converged` False; left_out_nonpositive_spend only informs.
    """

    names: ClassVar[tuple[str, ...]] = ()
    # Parameters whose divergence means that the data do not identify them; the others end "boundary".
    fragile: ClassVar[tuple[str, ...]] = ()
    # What covariates act on: name -> (parameter, sign of the coefficient in its logarithm).
    scales: ClassVar[dict[str, tuple[str, int]]] = {}

    def __init__(self, **params: float):
        for name, value in params.items():
            if not (np.isfinite(value) and value > 0):
                raise Refused(f"{type(self).__name__}: the parameter {name} must be above 0, not {value!r}.")
        self._set({k: float(v) for k, v in params.items()})
        self.known = True

    def _set(self, params: dict[str, float]) -> None:
        k = len(self.names)
        self.params = params
        self.standard_errors = dict.fromkeys(self.names, np.nan)
        self.log_likelihood = np.nan
        self.converged = False
        self.warnings: list[str] = []
        self.customers = 0.0
        self.known = False
        self.log_parameter_names = self.names
        self.covariance_log = np.full((k, k), np.nan)
        self._log_bounds: tuple[np.ndarray, np.ndarray] | None = None

    def at(self, params: dict[str, float]) -> Self:
        """The same model at other, known parameters."""
        return type(self)(**params)

    @classmethod
    def _gave_up(cls, code: str, customers: float) -> Self:
        model = cls.__new__(cls)
        model._set(dict.fromkeys(cls.names, np.nan))
        model.customers, model.warnings = customers, [code]
        return model

    @classmethod
    def _maximise(
        cls, data: Sequence[np.ndarray], weights: np.ndarray, starts: list[dict], units: dict[str, float]
    ) -> Self:
        """Fit on distinct rows; `units` holds the size in the data that a parameter's search is centred on."""

        objective = partial(cls._total, data, weights)
        rough = partial(cls._total, *thinned(data, weights)) if len(weights) > ROUGH else None
        centre = np.array([np.log(units.get(n, 1.0)) for n in cls.names])
        low, high = centre - SPAN, centre + SPAN
        size = float(weights.sum())
        codes = ["not_identified" if n in cls.fragile else "boundary" for n in cls.names]
        first = [np.log([s[n] for n in cls.names]) for s in starts]
        with np.errstate(all="ignore"):
            best = maximise(objective, first, low, high, size, codes, rough)
        model = cls.__new__(cls)
        values = np.exp(best.theta)
        model._set(dict(zip(cls.names, map(float, values), strict=True)))
        errors = values * np.sqrt(np.diag(best.covariance))
        model.standard_errors = dict(zip(cls.names, map(float, errors), strict=True))
        model.log_likelihood, model.covariance_log, model.customers = best.log_likelihood, best.covariance, size
        model.warnings, model.converged = best.codes, not best.codes
        model._log_bounds = (low, high)
        return model

    @classmethod
    def _total(cls, data: Sequence[np.ndarray], weights: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-likelihood and its gradient at log-parameters theta, in pieces that stay in the processor's cache."""
        values = np.exp(theta)
        params = dict(zip(cls.names, values, strict=True))
        total, gradient = 0.0, np.zeros(len(values))
        for i in range(0, len(weights), PIECE):
            w = weights[i : i + PIECE]
            rows, slopes = cls._log_likelihood_rows(params, *(c[i : i + PIECE] for c in data))
            total += float(w @ rows)
            gradient += [w @ g for g in slopes]
        return total, values * gradient

    @classmethod
    def _log_likelihood_rows(cls, params: dict[str, float], *data: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Per row: log-likelihood, and its derivative in each parameter (natural scale)."""
        raise NotImplementedError

    def draw_params(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """n draws of the parameters from the Laplace fit on the log scale; known parameters are repeated as they are.

        Returns name -> array (n). A fit that did not converge has no such distribution and is refused.
        """
        if self.known:
            return {k: np.full(n, v) for k, v in self.params.items()}
        if not np.isfinite(self.covariance_log).all():
            raise Refused(
                f"{type(self).__name__}: the fit is not usable ({', '.join(self.warnings)}), so its parameters have no "
                "distribution to draw from. Use a simpler model."
            )
        values, vectors = np.linalg.eigh(self.covariance_log)
        noise = rng.standard_normal((n, len(values))) * np.sqrt(np.maximum(values, 0)) @ vectors.T
        theta = np.log([self.params[k] for k in self.names]) + noise
        return {k: np.exp(np.clip(theta[:, i], *(b[i] for b in self._log_bounds))) for i, k in enumerate(self.names)}

    def _values(self) -> tuple[float, ...]:
        """The parameters in order; refused when the fit gave none."""
        values = tuple(self.params[n] for n in self.names)
        if not np.isfinite(values).all():
            raise Refused(
                f"{type(self).__name__}: the fit gave no parameters ({', '.join(self.warnings)}), so it cannot "
                "predict. Use a simpler model."
            )
        return values

    def _per_draw(self, params: dict[str, np.ndarray] | None, draws: int) -> list[np.ndarray]:
        """Each parameter as an array (1, draws) or (1, 1)."""
        if params is None:
            return [np.full((1, 1), v) for v in self._values()]
        arrays = [np.asarray(params[n], float).reshape(1, -1) for n in self.names]
        if any(a.shape[1] not in (1, draws) for a in arrays):
            raise Refused(f"{type(self).__name__}: params must hold one value a draw ({draws:,}).")
        return arrays

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={_short(v)}" for k, v in self.params.items())
        if self.known:
            return f"<{type(self).__name__}: known parameters, {shown}>"
        state = "" if self.converged else f"did not converge ({', '.join(self.warnings)}), "
        return f"<{type(self).__name__}: {self.customers:,.0f} customers, {state}{shown}>"


def _short(v: float) -> str:
    return f"{v:.3g}" if v < 1 else f"{v:.4g}" if v < 1000 else f"{v:,.0f}"


def check_delta(delta: float, horizon: float | None, who: str) -> None:
    """A discount rate of 0 or more and a horizon above 0 (or None = for ever)."""
    if not (np.isfinite(delta) and delta >= 0):
        raise Refused(f"{who}: the discount rate delta must be 0 or more per time unit, not {delta!r}.")
    if horizon is not None and not (np.isfinite(horizon) and horizon >= 0):
        raise Refused(f"{who}: the horizon must be 0 or more time units, or None for no end, not {horizon!r}.")
