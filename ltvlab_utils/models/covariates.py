"""Models whose scale shifts with what is known of a customer at its start (floor 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.base import Model
from ltvlab_utils.models.columns import distinct, grouped, numbers
from ltvlab_utils.models.fitting import maximise

MOST_GROUPS = 1_000  # distinct rows of covariates
REACH = 6.0  # a coefficient is searched to a factor of e^±6 over the range of its covariate


@dataclass(frozen=True)
class LikelihoodRatio:
    """Twice the gain in log-likelihood, its degrees of freedom, and the chance of as much without any effect."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


class WithCovariates:
    """A model with time-invariant covariates on its scale parameters.

    Of a customer with covariates z the parameter of each of the model's `scales` is multiplied by exp(sign ·
    coefficient · z). ParetoNBD: alpha_i = alpha exp(-z·order_rate), beta_i = beta exp(-z·death_rate), so a coefficient
    is the logarithm of a ratio of mean rates. ShiftedBetaGeometric: alpha_i = alpha exp(z·alpha), beta_i = beta
    exp(z·beta). Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models".

    Attributes: `base` (the model's class), `covariates`, `params` and `standard_errors` (the model's symbols at z = 0,
    then scale:covariate), `log_likelihood`, `converged`, `warnings`, `customers`, `covariance` (of the logs of the
    symbols and of the coefficients), `plain` (the fit without covariates; None where parameters were given).
    """

    def __init__(self, base: type[Model], covariates: Sequence[str], params: Mapping[str, float]):
        """From known parameters."""
        self.base, self.covariates = base, tuple(covariates)
        self.names = (*base.names, *(f"{scale}:{c}" for scale in base.scales for c in self.covariates))
        if set(params) != set(self.names):
            raise Refused(f"{base.__name__} with covariates needs the parameters {', '.join(self.names)}.")
        self.params = {name: float(params[name]) for name in self.names}
        self.standard_errors = dict.fromkeys(self.names, np.nan)
        self.log_likelihood, self.customers, self.converged = np.nan, 0.0, False
        self.warnings: list[str] = []
        self.covariance = np.full((len(self.names),) * 2, np.nan)
        self.plain: Model | None = None

    def of(self, values: Sequence[float]) -> Model:
        """The model of customers with these values of the covariates, in their order."""
        theta = np.log([self.params[n] for n in self.base.names]) + self._shift(np.asarray(values, float))
        return self.base(**dict(zip(self.base.names, map(float, np.exp(theta)), strict=True)))

    def _shift(self, z: np.ndarray) -> np.ndarray:
        coefficients = np.array([self.params[n] for n in self.names[len(self.base.names) :]])
        return shift(self.base, z, coefficients.reshape(len(self.base.scales), -1))

    def predict(self, method: str, h: pd.DataFrame, *args) -> np.ndarray:
        """A prediction of the model that takes histories (`method`, such as "probability_alive"), row by row, each at
        its own covariates, which are columns of `h`."""
        z = np.column_stack(numbers(h, self.covariates, self.base.__name__))
        rows, place = grouped(z.T)
        found = np.empty(len(h))
        for i, values in enumerate(zip(*rows, strict=True)):
            own = place == i
            found[own] = getattr(self.of(values), method)(h[own], *args)
        return found

    def against(self, smaller: WithCovariates | Model | None = None) -> LikelihoodRatio:
        """Likelihood-ratio test against a fit on the same rows with some of the covariates, or with none."""
        smaller = self.plain if smaller is None else smaller
        df = len(self.names) - len(smaller.names)
        statistic = max(2 * (self.log_likelihood - smaller.log_likelihood), 0.0)
        return LikelihoodRatio(statistic, df, float(chi2.sf(statistic, df)) if df else np.nan)

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v:.3g}" for k, v in self.params.items())
        return f"<{self.base.__name__} by {', '.join(self.covariates)}: {self.customers:,.0f} customers, {shown}>"


def shift(base: type[Model], z: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """What covariates add to the logs of the parameters; coefficients (scales, covariates)."""
    out = np.zeros(len(base.names))
    for (name, sign), row in zip(base.scales.values(), coefficients, strict=True):
        out[base.names.index(name)] += sign * float(row @ z)
    return out


def fit_with_covariates(
    base: type[Model], columns: Sequence[np.ndarray], table: pd.DataFrame, names: Sequence[str], weights: np.ndarray,
    fit_plain: Callable[[], Model],
) -> WithCovariates:  # fmt: skip
    """`base` on data `columns` with the covariates `names` of `table`. The fit without them is where the search begins.

    Raises Refused for a covariate that does not differ between rows, or for more than MOST_GROUPS distinct rows of
    them, since what is continuous is better banded.
    """
    names = list(dict.fromkeys(names))
    z = numbers(table, names, base.__name__)
    for name, values in zip(names, z, strict=True):
        if len(values) and np.ptp(values[weights > 0]) == 0:
            raise Refused(f'{base.__name__}: the covariate "{name}" is the same in all rows. Leave it out.')
    rows, w = distinct((*columns, *z), weights)
    data, of = rows[: len(columns)], rows[len(columns) :]
    groups, place = grouped(of)
    values = np.column_stack(groups) if len(groups) else np.zeros((0, 0))
    if len(values) > MOST_GROUPS:
        raise Refused(
            f"{base.__name__}: {len(values):,} distinct rows of covariates ({', '.join(names)}); at most "
            f"{MOST_GROUPS:,} are fitted. Band what is continuous."
        )
    plain = fit_plain()
    k, signs = len(base.names), [(base.names.index(p), sign) for p, sign in base.scales.values()]
    out = WithCovariates(base, names, plain.params | {f"{s}:{c}": np.nan for s in base.scales for c in names})
    out.plain, out.customers = plain, float(w.sum())
    if not plain.converged:
        out.warnings = list(plain.warnings)
        return out
    parts = [(values[i], [c[place == i] for c in data], w[place == i]) for i in range(len(values))]

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = theta[k:].reshape(len(signs), -1)
        total, slope, by = 0.0, np.zeros(k), np.zeros_like(coefficients)
        for own, columns_, w_ in parts:
            f, g = base._total(columns_, w_, theta[:k] + shift(base, own, coefficients))
            total, slope = total + f, slope + g
            for row, (at, sign) in zip(by, signs, strict=True):
                row += sign * g[at] * own
        return total, np.concatenate([slope, by.ravel()])

    reach = np.tile(REACH / np.maximum(np.abs(values).max(axis=0), 1e-9), len(signs))
    low, high = (np.concatenate([b, s * reach]) for b, s in zip(plain._log_bounds, (-1, 1), strict=True))
    start = np.concatenate([np.log([plain.params[n] for n in base.names]), np.zeros(len(reach))])
    codes = ["not_identified" if n in base.fragile else "boundary" for n in base.names]
    with np.errstate(all="ignore"):
        best = maximise(objective, [start], low, high, out.customers, codes + ["not_identified"] * len(reach))
    errors = np.sqrt(np.diag(best.covariance))
    natural = np.exp(best.theta[:k])
    out.params = dict(zip(out.names, map(float, [*natural, *best.theta[k:]]), strict=True))
    out.standard_errors = dict(zip(out.names, map(float, [*natural * errors[:k], *errors[k:]]), strict=True))
    out.log_likelihood, out.covariance = best.log_likelihood, best.covariance
    out.warnings, out.converged = best.codes, not best.codes
    return out


def dummies(values: pd.Series, least: int) -> pd.DataFrame:
    """0/1 columns of a text attribute: each value of at least `least` rows beside the commonest one, which is the
    reference; empty is a value of its own; what is rarer is "other", or joins the reference where it is rare, too."""
    text = values.astype("object").where(values.notna(), "unknown").astype("str")
    count = text.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    rare = count.index[count < least]
    text = text.where(~text.isin(rare), "other" if count[rare].sum() >= least else count.index[0])
    kept = text.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[1:]
    return pd.DataFrame({level: (text == level).astype(float) for level in sorted(kept)}, index=values.index)
