"""lifetimes as an oracle: an independent implementation of the same likelihoods."""

import warnings

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.second_opinion import OURS, second_opinion
from tests.models_worlds import cdnow


@pytest.mark.parametrize("name", OURS)
def test_lifetimes_agrees_on_cdnow(name):
    own = OURS[name].fit(cdnow())
    opinion = second_opinion(name, cdnow(), own=own)
    assert list(opinion["parameter"]) == list(own.names) and opinion["converged"].all()
    assert (opinion["warning"] == "").all()
    assert opinion["estimate"].to_numpy() == pytest.approx([own.params[n] for n in own.names], rel=1e-3)
    assert opinion["log_likelihood"].to_numpy() == pytest.approx(own.log_likelihood, abs=1e-4)
    if name != "pareto_nbd":  # lifetimes has no Hessian there
        errors = [own.standard_errors[n] for n in own.names]
        assert opinion["standard_error"].to_numpy() == pytest.approx(errors, rel=2e-3)


def test_a_difference_is_flagged():
    half = OURS["bg_nbd"].fit(cdnow().head(1200))
    opinion = second_opinion("bg_nbd", cdnow(), own=half)
    assert (opinion["warning"] == "differs").all() and opinion["converged"].all()


def test_its_failure_is_a_code():
    """Loyal customers, seen until today: lifetimes raises ConvergenceError for MBG/NBD."""
    loyal = pd.DataFrame({"frequency": [3, 4, 7, 1], "recency": [9.0, 8, 7, 3], "T": [9.0, 8, 7, 3]})
    opinion = second_opinion("mbg_nbd", loyal)
    assert not opinion["converged"].any() and opinion["estimate"].isna().all()
    assert (opinion["warning"] == "lifetimes_raised").all()
    with pytest.raises(Refused, match='Did you mean "bg_nbd"'):
        second_opinion("bgnbd", loyal)


def test_it_leaves_nothing_behind(capsys):
    """No global random state, no pandas option, no warning, no print."""
    loyal = pd.DataFrame({"frequency": [3, 4, 7, 1], "recency": [9.0, 8, 7, 3], "T": [9.0, 8, 7, 3]})
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        option = pd.options.mode.chained_assignment
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second_opinion("mbg_nbd", loyal)
        once, again = (second_opinion("pareto_nbd", cdnow()) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pd.options.mode.chained_assignment == option
    assert capsys.readouterr().out == ""
