"""What users of other tools type is answered with what it is called here."""

from collections.abc import Callable

import pytest
from omegaconf import OmegaConf
from test_identity import config

from mnist_mlp.config import synonyms

Command = Callable[..., int]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["trainer.max_epochs=3"], "write epochs=3"),
        (["max_epochs=3"], "write epochs=3"),
        (["batch_size=64"], "write batch=64"),
        (["data.batch_size=64"], "write batch=64"),
        (["learning_rate=0.1"], "write lr=0.1"),
        (["weight_decay=0.1"], "write +optimizer.weight_decay=0.1"),
        (["optimizer=adamw", "weight_decay=0.1"], "write optimizer.weight_decay=0.1"),
        (["momentum=0.5"], "write optimizer=momentum optimizer.momentum=0.9"),
        (["ckpt_path=last.ckpt"], "the same command resumes a run"),
        (["resume=true"], "the same command resumes a run"),
        (["train=false"], "mnist-mlp evaluate tests one"),
        (["test=true"], "mnist-mlp evaluate tests a finished run"),
        (["test=false"], "mnist-mlp evaluate tests a finished run"),
        (["model.dropout_rate=0.5"], "write model.dropout=0.5"),
        (["--epochs", "10"], "write epochs=10"),
        (["--epochs=10"], "write epochs=10"),
        (["--batch-size", "64"], "write batch=64"),
        (["--model", "deep5"], "write model=deep5"),
        (["activation=ReLU"], "did you mean relu?"),
        (["activation=LeakyReLU"], "did you mean leaky_relu?"),
        (["model.activation=[ReLU,Tanh]"], "did you mean relu?"),
        (["optimizer=Adam"], "did you mean adam?"),
        (["optimizer=RMSprop"], "did you mean rmsprop?"),
        (["model=Deep5"], "did you mean deep5?"),
        (["lr=0,001"], "use a decimal point; write lr=0.001"),
        (["-m", "lr=0,001"], "use a decimal point; write lr=0.001"),
        (["model.dropout=0,5"], "use a decimal point; write model.dropout=0.5"),
        (["model.hidden_sizes=300"], 'a list; write "model.hidden_sizes=[300]"'),
        (["model.hidden_sizes=300,100"], 'a list; write "model.hidden_sizes=[300,100]"'),
        (["-m", "model.hidden_sizes=300,100"], 'a list; write "model.hidden_sizes=[300,100]"'),
        (["optimizer.betas=0.9"], "a list of numbers of at least 0 and below 1, as in [0.9,0.999]"),
        (["hydra.verbose=true"], "not supported; a run logs to train.log"),
        (["hydra/job_logging=default"], "not supported; a run logs to train.log"),
        (["hydra/hydra_logging=default"], "not supported; a run logs to train.log"),
        (["debug=onebatch"], "did you mean one_batch?"),
    ],
)
def test_another_tools_word_is_answered_with_ours(
    line: list[str], said: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*line) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_every_answer_names_a_key_that_there_is_and_no_key_of_ours_is_another_tools() -> None:
    known = OmegaConf.structured(config())
    adamw = OmegaConf.structured(config("optimizer=adamw"))
    rmsprop = OmegaConf.structured(config("optimizer=rmsprop"))
    for name, key in synonyms.KEYS.items():
        assert OmegaConf.select(known, name, default="no") == "no", name
        assert any(OmegaConf.select(each, key, default="no") != "no" for each in (known, adamw, rmsprop)), key
