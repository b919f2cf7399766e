"""A command imports neither the compiler nor libraries that a run does not use, until something needs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from mnist_mlp.fast import start

UNUSED = (
    "matplotlib",
    "onnx",
    "pandas",
    "scipy",
    "sympy",
    "torch._dynamo.eval_frame",
    "torch._inductor.utils",
    "torchvision",
)


PREPARED = "from mnist_mlp.fast import start\nstart.prepare()\nimport lightning, sys, torch\n"
"""A process where a command is about to train."""

IN_EACH_CHILD = """
import json, os, traceback
for code in json.loads(sys.argv[1]):
    if not os.fork():
        try:
            exec(code)
        except BaseException as error:
            traceback.print_exc()
            print(f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def python(code: str, *arguments: str) -> str:
    """Run code in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_does_not_import_what_it_does_not_use(tmp_path: Path) -> None:
    code = (
        "from mnist_mlp.cli.train import main\nsys.argv[0] = 'train.py'\nmain()\n"
        f"print([name for name in {UNUSED} if name in sys.modules])"
    )
    overrides = ["epochs=1", "data.steps_per_epoch=2", "trainer=cpu", f"runs_dir={tmp_path}"]
    assert python(PREPARED + code, *overrides).splitlines()[-1] == "[]"


@pytest.mark.parametrize(("argument", "status"), [("--help", None), ("--cfg=job", None), ("batch=0", 2)])
def test_what_trains_nothing_is_answered_without_numpy(argument: str, status: int | None, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mnist_mlp.cli.train import main\nsys.argv[0] = 'train.py'\nstatus = None\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    status = ended.code\n"
        "print(status, [name for name in ('numpy', 'PIL', 'torch') if name in sys.modules])"
    )
    assert python(code, argument, f"runs_dir={tmp_path}").splitlines()[-1] == f"{status} []"


LEFT_OUT = [
    # What is compiled is recognized by Lightning, and what it excludes from compilation still works.
    "model = torch.compile(torch.nn.Linear(2, 1), backend='eager'); model(torch.ones(1, 2))\n"
    "from lightning.fabric.wrappers import _unwrap_compiled, OptimizedModule\n"
    "assert isinstance(model, OptimizedModule)\nprint(type(_unwrap_compiled(model)[0]).__name__)",
    "import torch._dynamo.config\nprint('Linear' * (torch._dynamo.config.recompile_limit > 0))",
    "from torch._dynamo import explain\nprint('Linear' * callable(explain))",
    "import torch._dynamo.utils, sys\nprint('Linear' * (sys.modules['torch._dynamo.utils'] is torch._dynamo.utils))",
    "optimizer = torch.optim.Adam(torch.nn.Linear(2, 1).parameters())\noptimizer.step()\n"
    "assert 'torch._dynamo.eval_frame' not in sys.modules\n"
    "torch._dynamo.reset()\noptimizer.step(); optimizer.zero_grad()\nprint('Linear')",
    "import torchmetrics\nassert torchmetrics.Accuracy('multiclass', num_classes=10)\n"
    "from torchmetrics import MeanMetric, Metric\nassert issubclass(MeanMetric, Metric)\nprint('Linear')",
    "from torchmetrics.classification import MulticlassConfusionMatrix\n"
    "metric = MulticlassConfusionMatrix(2)\nmetric.update(torch.tensor([0, 1]), torch.tensor([0, 1]))\n"
    "import matplotlib\nmatplotlib.use('agg')\nmetric.plot()\nprint('Linear')",
    "from torchmetrics import MeanMetric\nimport matplotlib\nmatplotlib.use('agg')\n"
    "metric = MeanMetric()\nmetric.update(1)\nmetric.plot()\nprint('Linear')",
    # torch 2.9 does not have the setting.
    "torch.use_deterministic_algorithms(True)\nassert 'torch._inductor.utils' not in sys.modules\n"
    "import torch._inductor.utils\nfrom torch._inductor import config\n"
    "assert getattr(config, 'deterministic', True)\ntorch.use_deterministic_algorithms(False)\n"
    "assert config is sys.modules['torch._inductor.config']\n"
    "print('Linear' * (not getattr(config, 'deterministic', False)))",
    "import torchvision.transforms\ntorchvision.transforms.RandomRotation(10)\nprint('Linear')",
    "program = torch.export.export(torch.nn.Linear(2, 1), (torch.ones(1, 2),))\nprint('Linear')",
]


@pytest.mark.slow
def test_what_is_left_out_is_there_when_something_needs_it() -> None:
    printed = python(PREPARED + IN_EACH_CHILD, json.dumps(LEFT_OUT)).splitlines()
    assert dict(zip(LEFT_OUT, printed, strict=True)) == dict.fromkeys(LEFT_OUT, "Linear")


def test_a_program_that_imports_the_package_is_not_affected() -> None:
    code = "import sys, mnist_mlp.config.schema, mnist_mlp.fast.start, lightning; print('sympy' in sys.modules)"
    assert python(code) == "True"


@pytest.mark.parametrize(("before", "after"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    start.prepare()
    assert os.environ["OMP_WAIT_POLICY"] == after
