"""Checks, labels and identities of configurations."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import compose, compose_run, composing, to_config
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import Names, Numbers
from mnist_mlp.lab import notebook_run_of


def config(*overrides: str) -> Config:
    with composing():
        return to_config(compose(list(overrides)))


def label_of(*overrides: str) -> str | None:
    with composing():
        return compose_run(list(overrides)).name


def test_the_baseline_has_nothing_wrong_with_it() -> None:
    assert problems(config()) == []


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("batch=0", "batch=0: batch is a whole number from 1 to 54,000"),
        ("batch=70000", "batch=70000: batch is a whole number from 1 to 54,000"),
        ("lr=-1", "lr=-1.0: lr is a number above 0"),
        ("lr=nan", "lr=nan: lr is a number above 0"),
        ("width=0", "width=0: width is a whole number from 1 to 10,000"),
        ("seed=-1", "seed=-1: seed is a whole number from 0 to 4,294,967,295"),
        ("test=bset", "test=bset: test is one of last, best, none; did you mean best?"),
        (
            "optimizer.betas=[0.9,1]",
            "optimizer.betas=[0.9,1]: "
            "optimizer.betas is a list of numbers of at least 0 and below 1, as in [0.9,0.999]",
        ),
        ("trainer.devices=many", "trainer.devices=many: trainer.devices is a whole number of at least 1 or auto"),
    ],
)
def test_a_value_out_of_range_is_one_line_with_the_range(override: str, problem: str) -> None:
    assert problems(config(override)) == [problem]


@given(st.integers() | st.floats() | st.text() | st.none() | st.booleans())
def test_numbers_hold_nothing_but_numbers_within_their_range(value: object) -> None:
    valid = Numbers(1, 9, integer=True)
    assert (value in valid) == (type(value) is int and 1 <= value <= 9)
    assert math.nan not in Numbers()
    assert value not in Names(())


def test_the_same_configuration_has_the_same_identity_however_it_is_asked_for() -> None:
    assert identity(config("experiment=q06")) == identity(config("batch=10000"))
    assert identity(config("experiment=q03", "width=77")) == identity(config("model=deep5"))
    assert identity(config("activation=relu_tanh")) == identity(config("model.activation=[relu,tanh]"))
    assert identity(config()) == identity(config("seed=3", "runs_dir=elsewhere", "trainer=cpu", "logger=none"))


def test_the_identity_is_pinned() -> None:
    # A change of this value makes every finished run unknown: raise the version and say so in the changelog.
    assert identity(config()) == "3f988a12"


@pytest.mark.parametrize(
    "override",
    [
        "batch=50",
        "epochs=6",
        "lr=0.01",
        "width=100",
        "test=best",
        "model=deep3",
        "model.init=torch",
        "activation=tanh",
        "optimizer=sgd",
        "optimizer.eps=1e-8",
        "+optimizer.amsgrad=true",
        "data=notebook",
        "data.split_seed=1",
        "data.seed=5",
        "data.steps_per_epoch=5",
        "trainer.precision=64-true",
    ],
)
def test_whatever_changes_the_numbers_changes_the_identity(override: str) -> None:
    assert identity(config(override)) != identity(config())


def test_whole_numbers_and_fractions_of_the_same_value_are_the_same() -> None:
    assert identity(config("optimizer.betas=[0,0.9]")) == identity(config("optimizer.betas=[0.0,0.9]"))


def test_a_long_label_is_cut() -> None:
    assert len(label_of(f"name={'x' * 400}")) == 150


@pytest.mark.parametrize("override", ["optimizer.eps=0.1", "test=best", "optimizer=adamw", "data.seed=5"])
def test_another_training_is_not_compared_with_the_notebook(override: str) -> None:
    assert notebook_run_of(config()) is not None
    assert notebook_run_of(config(override)) is None


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "baseline"),
        (["batch=1"], "batch=1"),
        (["model=deep5", "lr=0.01"], "model=deep5,lr=0.01"),
        (["optimizer=momentum"], "optimizer=momentum"),
        (["optimizer=momentum", "optimizer.momentum=0.5"], "optimizer=SGD,momentum=0.5"),
        (
            ["optimizer=rmsprop", "activation=relu_tanh", "data=notebook"],
            "activation=relu_tanh,optimizer=rmsprop,data=notebook",
        ),
        (["model=deep3", "width=100"], "hidden_sizes=100-100-100"),
        (["model=combined", "activation=relu_tanh_sigmoid"], "model=combined,activation=relu_tanh_sigmoid"),
        (
            ["model.hidden_sizes=[9,9,9]", "activation=relu_tanh_sigmoid"],
            "hidden_sizes=9-9-9,activation=relu-tanh-sigmoid",
        ),
        (["experiment=q10", "optimizer=sgd"], "q10,optimizer=sgd"),
        (["regularization=[dropout,ema]"], "dropout=0.5,input_dropout=0.2,ema=0.999"),
        (["experiment=q10"], "q10"),
        (["experiment=q10", "batch=50"], "q10,batch=50"),
        (["name=mine", "seed=4"], "mine"),
    ],
)
def test_a_label_says_what_differs(overrides: list[str], expected: str) -> None:
    assert label_of(*overrides) == expected
