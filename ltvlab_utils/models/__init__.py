"""Probability models of orders, spend and renewals, with the papers' symbols (floor 2: arrays and frames, pure)."""

from ltvlab_utils.models.beta_geometric import BGNBD, MBGNBD
from ltvlab_utils.models.bgbb import BGBB
from ltvlab_utils.models.gamma_gamma import GammaGamma
from ltvlab_utils.models.nbd import NBD
from ltvlab_utils.models.pareto_nbd import ParetoNBD
from ltvlab_utils.models.renewals import BetaDiscreteWeibull, ShiftedBetaGeometric

__all__ = [
    "BGBB",
    "BGNBD",
    "MBGNBD",
    "NBD",
    "BetaDiscreteWeibull",
    "GammaGamma",
    "ParetoNBD",
    "ShiftedBetaGeometric",
]
