"""The value of customers: facts at as-of, fits with stated priors, simulated futures, notebook 02's tables (floor 2).

tables, settings, dating = on_clock(tables, settings, as_of)  # months where dates are month ends
facts = gather(tables, settings, as_of)          # sums in the engine, small frames out; above 50,000 customers twins
fits = fit(facts, settings)                      # order, spend and renewal models per segment
fits.drift = learned(fits, earlier(tables, settings, as_of), settings)  # what earlier forecasts teach
card = model_card(fits, facts)                   # every fit, and beside it that of lifetimes
valuation = evaluate(facts, fits, settings, rng) # ltv_by_customer, ltv_by_parent, ltv_totals, ltv_draws
"""

from ltvlab_utils.value.at_scale import evaluate
from ltvlab_utils.value.choice import Fits
from ltvlab_utils.value.cohorts import Cohorts
from ltvlab_utils.value.cohorts_of_twins import watch_cohorts
from ltvlab_utils.value.costs import Rates, rates, realised
from ltvlab_utils.value.facts import READS, Facts
from ltvlab_utils.value.fits import fit, model_card
from ltvlab_utils.value.futures import Simulated, simulate
from ltvlab_utils.value.month_clock import on_clock
from ltvlab_utils.value.origins import earlier, learned
from ltvlab_utils.value.result import Valuation
from ltvlab_utils.value.wide import gather

__all__ = [
    "READS",
    "Cohorts",
    "Facts",
    "Fits",
    "Rates",
    "Simulated",
    "Valuation",
    "earlier",
    "evaluate",
    "fit",
    "gather",
    "learned",
    "model_card",
    "on_clock",
    "rates",
    "realised",
    "simulate",
    "watch_cohorts",
]
