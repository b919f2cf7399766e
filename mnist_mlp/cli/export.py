"""Export a trained network to an ONNX, TorchScript or safetensors file, and verify that its logits are the same.

mnist-mlp export q05/seed0 --format onnx
mnist-mlp export best --format safetensors --out digits.safetensors
"""

import os

from mnist_mlp.cli.arguments import Parser, one_of, path

FORMATS = ("onnx", "torchscript", "safetensors")


def main() -> None:
    """Parse the command line, load the network and write the file."""
    parser = Parser.of(__doc__)
    parser.add_argument("run", metavar="RUN", help="a run's folder, LABEL, LABEL/seedN, a checkpoint's file, or best")
    parser.add_argument("--format", type=one_of(FORMATS), required=True, help=f"one of {', '.join(FORMATS)}")
    parser.add_argument("--out", type=path, help="the file (LABEL-seedN.SUFFIX in the current folder)")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    arguments = parser.parse_args()
    from mnist_mlp.inference import export
    from mnist_mlp.inference.load import load

    network = load(arguments.run, arguments.runs_dir)
    written = export.export(network, arguments.format, arguments.out, arguments.overwrite)
    if written.difference is None:
        print(f"not compared with the network: {export.FORMATS[arguments.format].verified_by} is not installed")
    else:
        print(f"largest difference from the network's logits on the test images: {written.difference:.1e}")
    print(written.path)
