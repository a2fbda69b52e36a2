"""Effects of campaigns from their design (floor 2).

Estimators on arrays: estimate, randomisation_p_value, group_time_att; designs: minimum_detectable_effect,
sample_ratio_p_value. Campaigns on staged tables: campaign_outcomes, then campaign_balance, campaign_effects,
action_effects.
"""

from ltvlab_utils.experiments import answers
from ltvlab_utils.experiments.campaigns import action_effects, campaign_balance, campaign_effects, headline, left_out
from ltvlab_utils.experiments.design import (
    balance_p_value,
    merge_thin_blocks,
    minimum_detectable_effect,
    sample_ratio_p_value,
)
from ltvlab_utils.experiments.estimators import Effect, estimate, randomisation_p_value
from ltvlab_utils.experiments.outcomes import INPUTS, CampaignOutcomes, campaign_outcomes
from ltvlab_utils.experiments.staggered import GroupTimeATT, group_time_att

__all__ = [
    "INPUTS",
    "CampaignOutcomes",
    "Effect",
    "GroupTimeATT",
    "action_effects",
    "answers",
    "balance_p_value",
    "campaign_balance",
    "campaign_effects",
    "campaign_outcomes",
    "estimate",
    "group_time_att",
    "headline",
    "left_out",
    "merge_thin_blocks",
    "minimum_detectable_effect",
    "randomisation_p_value",
    "sample_ratio_p_value",
]
