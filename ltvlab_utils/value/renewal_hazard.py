"""The renewal hazard of a company: covariates, priors, fit, and what it says of contracts (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.models.hazard import BEFORE, LEFT, STAYED, Decisions, FrailtyHazard, Prior, log_hazard
from ltvlab_utils.value.choice import ALL, card_rows

MOVING = (
    "usage_level", "usage_trend", "usage_silent", "use_for_money", "support_recent", "support_level", "survey_score",
    "survey_silent", "late_payment", "contact_left",
)  # fmt: skip
TOLD = {"before": BEFORE, "stayed": STAYED, "left": LEFT}
# what is most often the first sign has the full prior sd, the others half of it
RELATIVE = dict.fromkeys(
    (
        "usage_trend", "usage_silent", "support_recent", "support_level", "survey_silent", "late_payment",
        "contact_left",
    ),
    0.5,
)  # fmt: skip
WITHIN = 2.5  # standard deviations: beyond, a covariate that is nearly always 0 would decide alone
BASE_MEAN, BASE_SD = -2.0, 0.7  # prior of the log hazard of a decision: one in eight, from one in 30 to four in ten
GROUP_SD = 0.2  # of segments and products around the company
# tenure beyond what frailty does for survivors: a free coefficient took the noise of 30 refusals for loyalty
TERM_SD, CLASS_SD, TENURE_SD, DISCOUNT_SD = 0.3, 1.0, 0.1, 0.1
SHOCK_SD, SHOCK_MEMORY = 0.3, 0.9  # of the log hazard of all contracts, by month
NAME = "renewal_hazard"
MIN_LEFT = 5  # refusals; below, the company's renewals say little beyond the prior
MIN_PRODUCT = 20  # contracts; rarer products share the level of the company


@dataclass(frozen=True)
class Design:
    """How a sighting becomes a row of covariates: `groups` (column, value) with a level of their own, `centre` and
    `spread` of the moving covariates."""

    groups: tuple[tuple[str, str], ...]
    moving: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Design:
        """From the past decisions (told is not `next`)."""
        past = rows[rows["told"].isin(["stayed", "left"])]
        groups = []
        for column, least in (("model_segment", 1), ("product_id", MIN_PRODUCT)):
            size = rows.groupby(column)["contract_id"].nunique()
            size = size[size >= least]
            groups += [(column, value) for value in sorted(size.index)] if len(size) > 1 else []
        names = [c for c in MOVING if c in past and past[c].std() > 1e-6]
        centre, spread = (past[names].agg(f).to_numpy(dtype=float) for f in ("mean", "std"))
        return cls(tuple(groups), tuple(names), centre, spread)

    @property
    def names(self) -> tuple[str, ...]:
        levels = [f"{column}:{value}" for column, value in self.groups]
        return (
            "base",
            *levels,
            "term_monthly",
            "term_short",
            "term_length",
            "tenure",
            "discount_control",
            *self.moving,
        )

    @property
    def prior(self) -> Prior:
        sd = [BASE_SD, *[GROUP_SD] * len(self.groups), CLASS_SD, CLASS_SD, TERM_SD, TENURE_SD, DISCOUNT_SD]
        moving = np.r_[np.zeros(len(sd), bool), np.ones(len(self.moving), bool)]
        sd = np.r_[sd, [RELATIVE.get(name, 1.0) for name in self.moving]]
        return Prior(np.r_[BASE_MEAN, np.zeros(len(sd) - 1)], sd, moving)

    def rows(self, rows: pd.DataFrame) -> np.ndarray:
        """(rows, p). What is not known stands at its mean."""
        months = rows["term_months"].to_numpy(float)
        columns = [np.ones(len(rows))]
        columns += [(rows[column] == value).to_numpy(float) for column, value in self.groups]
        columns += [
            months <= 1,
            (months > 1) & (months < 12),
            np.log(np.maximum(months, 12) / 12),
            tenure(rows["made"].to_numpy(float)),
            rows["discount_rate"].to_numpy(float) / 0.10,
        ]
        static = np.column_stack(columns).astype(float)
        if not self.moving:
            return static
        moving = (rows[list(self.moving)].to_numpy(float) - self.centre) / self.spread
        moving = np.clip(moving, -WITHIN, WITHIN)
        moving = np.where((rows["told"] == "before").to_numpy()[:, None], 0.0, moving)
        return np.column_stack([static, moving])

    @property
    def tenure_at(self) -> int:
        return self.names.index("tenure")


def tenure(made: np.ndarray) -> np.ndarray:
    """Renewals made, on a scale that flattens: log2(1 + made), 0 for the first decision."""
    return np.log2(1 + np.minimum(made, 15))


@dataclass(frozen=True)
class RenewalHazard:
    """`model` fitted on the covariates of `design`; `decisions`, `left`: past decisions behind it, those refused."""

    model: FrailtyHazard
    design: Design
    decisions: int
    left: int


def fit(rows: pd.DataFrame) -> RenewalHazard:
    """`rows`: sightings with signals and model_segment (facts.decisions). Each lead is a look at the same decisions, so
    each weighs 1 / leads (a composite likelihood). Without any past decision the prior stands alone."""
    done = rows[rows["told"] != "next"]
    design = Design.of(rows)
    code = done.groupby(["contract_id", "lead"], sort=False).ngroup().to_numpy()
    leads = max(done["lead"].nunique(), 1)
    data = Decisions(
        design.rows(done),
        done["lead"].to_numpy(float),
        done["told"].map(TOLD).to_numpy(),
        done["count"].to_numpy(float),
        code,
        np.full(len(np.unique(code)), 1.0 / leads),
    )
    one = done[done["lead"] == done["lead"].min()]
    return RenewalHazard(
        FrailtyHazard.fit(data, design.prior, design.names), design, int((one["told"] != "before").sum()),
        int((one["told"] == "left").sum()),
    )  # fmt: skip


def lived(hazard: RenewalHazard, rows: pd.DataFrame, contracts: pd.Series, params: dict) -> np.ndarray:
    """(contracts, draws) hazard that each contract has stayed through: what its frailty is judged by. Past decisions
    count as seen on their day."""
    done = rows[rows["told"].isin(["before", "stayed"]) & (rows["lead"] == 0) & rows["contract_id"].isin(contracts)]
    out = np.zeros((len(contracts), len(params["fade"])))
    if len(done):
        h = np.exp(log_hazard(hazard.design.rows(done), done["lead"].to_numpy(), hazard.model.prior.moving, params))
        at = done["contract_id"].map(pd.Series(np.arange(len(contracts)), index=contracts.to_numpy())).to_numpy()
        np.add.at(out, at, h * done["count"].to_numpy(float)[:, None])
    return out


def p_renew(hazard: RenewalHazard, rows: pd.DataFrame, params: dict) -> pd.Series:
    """Chance that each open decision (told `next`) is a renewal, given that its contract runs until its deadline: mean
    over the draws of the parameters, by contract_id."""
    ahead = rows[rows["told"] == "next"]
    h = np.exp(log_hazard(hazard.design.rows(ahead), ahead["lead"].to_numpy(), hazard.model.prior.moving, params))
    v, past = params["variance"], lived(hazard, rows, ahead["contract_id"], params)
    chance = np.exp((np.log1p(v * past) - np.log1p(v * (past + h))) / v).mean(axis=1)
    return pd.Series(chance, index=ahead["contract_id"].to_numpy())


def of_new(hazard: RenewalHazard, segment: str, params: dict) -> np.ndarray:
    """(draws,) hazard at the first decision of a new annual contract of a segment, nothing known of it."""
    blank = dict.fromkeys((*hazard.design.moving, "made", "discount_rate"), 0.0)
    row = pd.DataFrame([blank | {"term_months": 12, "told": "before", "model_segment": segment, "product_id": ""}])
    x = hazard.design.rows(row)
    return np.exp(log_hazard(x, np.zeros(1), hazard.model.prior.moving, params))[0]


def card(hazard: RenewalHazard) -> list[dict]:
    """Rows of the model card: posterior means and sds."""
    found = hazard.model.summary()
    return card_rows(
        NAME, "ltvlab", ALL, {k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()},
        hazard.model.log_evidence, hazard.decisions, True, "" if hazard.left >= MIN_LEFT else "renewals_cannot_tell",
        True,
    )  # fmt: skip


def renewal_shocks(months: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, months) factors on the hazard of all contracts, mean 1: exp of an AR(1) path on log scale with lasting sd
    HalfNormal(SHOCK_SD), drawn for each draw. A few years of renewals cannot tell it: the prior stands."""
    sd = np.abs(rng.normal(0.0, SHOCK_SD, draws))
    path = np.empty((draws, months))
    path[:, 0] = rng.normal(0.0, sd)
    for month in range(1, months):
        path[:, month] = SHOCK_MEMORY * path[:, month - 1] + rng.normal(0.0, sd * np.sqrt(1 - SHOCK_MEMORY**2))
    return np.exp(path - sd[:, None] ** 2 / 2)


def pooled(hazard: RenewalHazard, segments) -> pd.Series:
    """Weight of the company's level against each segment's own renewals: posterior over prior variance of the
    segment's deviation; 1 where it has no level of its own."""
    sd = {k: v[1] for k, v in hazard.model.summary().items()}
    alone = len(segments) == 1
    own = lambda s: sd.get(f"model_segment:{s}", 0.0 if alone else GROUP_SD)  # noqa: E731
    return pd.Series({s: min((own(s) / GROUP_SD) ** 2, 1.0) for s in segments}, dtype=float)
