"""Export a trained network to an ONNX, TorchScript or safetensors file, and verify that its logits are the same.

mnist-mlp export q05/seed0 --format onnx
mnist-mlp export best --format safetensors --out digits.safetensors
"""

import os

from mnist_mlp.cli.arguments import RUN, Parser, one_of, path
from mnist_mlp.language import _, figure

FORMATS = ("onnx", "torchscript", "safetensors")


def main() -> None:
    """Parse the command line, load the network and write the file."""
    parser = Parser.of(
        _(
            "Export a trained network to an ONNX, TorchScript or safetensors file, and verify that its logits are the "
            "same."
        )
    )
    parser.add_argument("run", metavar="RUN", help=_(RUN))
    formats = _("one of {names}").format(names=", ".join(FORMATS))
    parser.add_argument("--format", type=one_of(FORMATS), required=True, help=formats)
    parser.add_argument("--out", type=path, help=_("the file (LABEL-seedN.SUFFIX in the current folder)"))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--overwrite", action="store_true", help=_("replace an existing file"))
    arguments = parser.parse_args()
    from mnist_mlp.inference import export
    from mnist_mlp.inference.load import load

    network = load(arguments.run, arguments.runs_dir)
    written = export.export(network, arguments.format, arguments.out, arguments.overwrite)
    if written.difference is None:
        package = export.FORMATS[arguments.format].verified_by
        print(
            _("not compared with the network: {package} is not installed: pip install {package}").format(
                package=package
            )
        )
    else:
        said = _("largest difference from the network's logits on the test images: {difference}")
        print(said.format(difference=figure(written.difference, ".1e")))
    print(written.path)
