"""The uses of a trained network: evaluation, prediction, export and drawing."""
