"""Which `_target_`s are called, and that both versions of Hydra answer alike."""

import functools
import os
from collections.abc import Callable
from importlib.util import find_spec

import hydra.utils
import pytest
from conftest import SHORT
from hydra.errors import InstantiationException

from mnist_mlp.config.compose import compose, composing, to_config
from mnist_mlp.config.schema import Config
from mnist_mlp.config.targets import instantiate, trusting

Command = Callable[..., int]

HAS_LIST = pytest.mark.skipif(not hasattr(hydra.utils, "execution_whitelist"), reason="Hydra 1.3 calls every target")
REFUSES = any(find_spec(f"hydra._internal.{name}") for name in ("target_policy", "execution_policy"))


def config(*overrides: str) -> Config:
    with composing():
        return to_config(compose(list(overrides)))


def doubled(value: int) -> int:
    return 2 * value


class Doubler:
    def __call__(self, value: int) -> int:
        return doubled(value)


def test_a_partial_is_one_of_pythons_which_checks_nothing_at_each_optimizer_step() -> None:
    given = config("scheduler=linear").scheduler
    assert type(instantiate(given)) is functools.partial
    assert instantiate(given).keywords == {"hold": 0.5, "final": 0.0}


@HAS_LIST
@pytest.mark.parametrize("target", ["os.getcwd", "torch.load", "mnist_mlp.files.os.getcwd", "test_targets.Doubler"])
def test_what_a_file_of_somebody_elses_names_is_not_called(target: str) -> None:
    with pytest.raises(InstantiationException):
        instantiate({"_target_": target})


def test_what_the_configuration_of_a_run_names_is_called() -> None:
    mine = {"_target_": "test_targets.Doubler"}
    named = {"_target_": "builtins.dict", "function": {"_target_": "hydra.utils.get_method", "path": "os.getcwd"}}
    written = config("+callbacks.mine._target_=test_targets.Doubler")
    written.augmentation = {"_target_": "builtins.list", "several": [named]}
    with trusting(written):
        assert instantiate(mine)(4) == 8  # which Hydra calls by the name that it was defined with
        assert instantiate(named) == {"function": os.getcwd}


def test_what_is_named_by_another_name_than_its_own_is_called() -> None:
    with trusting(config("+callbacks.mine._target_=torch.nn.ReLU")):  # torch.nn.modules.activation.ReLU
        assert callable(instantiate({"_target_": "torch.nn.ReLU"}))


@pytest.mark.skipif(not REFUSES, reason="the first releases of Hydra 1.3 refuse nothing")
@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "subprocess.run"])
def test_a_target_that_hydra_refuses_is_one_line_and_status_2(
    command: Command, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, f"+callbacks.mine._target_={target}") == 2
    advice = "from a configuration; name a function of your own that calls it"
    assert capsys.readouterr().err == f"callbacks.mine: Hydra refuses to call {target} {advice}\n"


@pytest.mark.parametrize("target", ["'*'", "'torch.*'", "'a b'", "''"])
def test_a_target_that_is_no_name_is_one_line_and_status_2(
    command: Command, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, f"+callbacks.mine._target_={target}") == 2
    error = capsys.readouterr().err
    assert error.startswith("callbacks.mine: ")
    assert error.count("\n") == 1
