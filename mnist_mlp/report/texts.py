"""The words and sentences of a report, which the catalogue translates."""

from typing import Any

from mnist_mlp.language import N_

TEXTS: dict[str, Any] = {
    "title": N_("Ten questions about a multilayer perceptron on MNIST"),
    "contents": N_("Questions"),
    "summary": N_("Summary"),
    "leak": N_("What the notebook's validation hid"),
    "question": N_("Question"),
    "answer": N_("Answer"),
    "notebook": N_("The notebook"),
    "said": N_("In short, it says: {0}"),
    "made": N_("How this was made"),
    "baseline": N_("The baseline, with which everything is compared: {0}."),
    "reading": N_(
        "± is half the 95% t-interval of a mean over n seeds, which all share one split of the training "
        "images. It leaves out what another split would change: the baseline's published validation "
        "accuracy of 97.36 ± 0.12% (disjoint protocol, ten seeds) is of one split; another split's mean "
        "lies within ± 0.42 points, and over ten splits it is 97.52 ± 0.13%. Accuracies are percentages, "
        "differences percentage points, paired by seed. A verdict is on test accuracy: a paired t-test, "
        "with p adjusted for all comparisons of this report ({0}, Holm's method), says better or worse if"
        " p is below 0.05. No difference shown does not mean that there is none: the interval says how "
        "large it may be. The interval belongs to a single comparison, so it can exclude zero although "
        "the adjusted p is not below 0.05. Learning curves are means over seeds; the band reaches from "
        "the lowest to the highest seed. A name in brackets is an experiment, as in python train.py "
        "experiment=q02; _as_run is what the notebook ran where the question asks for something else. Of "
        "the notebook's answers, only what they say about accuracy is judged, read as a range; the ranges"
        " are this report's choice. An answer holds if the interval lies inside its range, does not hold "
        "if it lies outside, and is otherwise undecided. Seconds are rough: they include whatever else "
        "the machine did. The published runs were timed beside other work, so that ratios of their mean "
        "seconds are off by up to about two thirds, and times are not compared."
    ),
    "protocols": {
        "disjoint": N_("Disjoint protocol: the 6,000 validation images are never trained on."),
        "notebook": N_(
            "Notebook protocol: split as in the notebook, so that nearly all validation images are also trained on."
        ),
    },
    "summary_of": N_("Under the {0}:"),
    "leak_text": N_(
        "In the notebook's split, nearly all validation images are also trained on, in other epochs. The "
        "table compares the same networks, trained with the same seeds under both protocols. These "
        "validate on different images, so not all of a difference is the leak: of the baseline's 1.25 "
        "points (ten seeds), 1.01 ± 0.11 are the leak, measured on the same images, and 0.24 come from "
        "easier images. Test images are never trained on in either."
    ),
    "columns": {
        "question": N_("question"),
        "variant": N_("variant"),
        "data": N_("data"),
        "n": N_("n"),
        "validation": N_("validation %"),
        "test": N_("test %"),
        "seconds": N_("seconds (rough)"),
        "difference": N_("difference in test, points"),
        "p": N_("p"),
        "verdict": N_("verdict"),
        "notebook_validation": N_("notebook: validation %"),
        "notebook_test": N_("notebook: test %"),
        "notebook_seconds": N_("notebook: seconds"),
        "validation_disjoint": N_("validation %, disjoint"),
        "validation_notebook": N_("validation %, notebook protocol"),
        "leak": N_("difference, points"),
        "test_disjoint": N_("test %, disjoint"),
        "test_notebook": N_("test %, notebook protocol"),
    },
    "data": {"disjoint": N_("disjoint"), "notebook": N_("notebook")},
    "facts": {
        "command": N_("command"),
        "commit": N_("commit (+: with changes)"),
        "versions": N_("versions"),
        "hardware": N_("hardware"),
        "dates": N_("started"),
        "runs": N_("runs"),
        "left_out": N_("left out: runs on other data than MNIST"),
    },
    "no_commit": N_("outside a checkout"),
    "runs": N_("{completed} completed, {diverged} diverged, {missing} missing"),
    "hardware": N_("{0} (cores: {1}, threads: {2})"),
    "verdicts": {
        "better": N_("better"),
        "worse": N_("worse"),
        "no difference shown": N_("no difference shown"),
    },
    "words": {
        "hidden_sizes": N_("hidden layers {0}"),
        "activation": N_("activation {0}"),
        "lr": N_("learning rate {0}"),
        "batch": N_("batch {0}"),
        "epochs": N_("epochs {0}"),
    },
    "baseline_name": N_("baseline"),
    "as_run": N_("(as run)"),
    "network": N_("{0}, {1}, {2} {3}, batch {4}, {5}"),
    "last_epochs": N_("{0} ({1} of {2} epochs)"),
    "accuracy": N_("Test accuracy beside the baseline's {0}%. {1}"),
    "points": N_("{0} ({1} points; validation {2})"),
    "too_few": N_("Not compared (this needs two seeds of the variant and of the baseline): {0}."),
    "nothing": N_("There are no completed runs."),
    "diverged": N_("Diverged, not in the means: {0}."),
    "missing": N_("Missing: {0}."),
    "seeds": N_("{0}, seed {1}"),
    "target": {
        "reached": N_(
            "Validation accuracy is {0}% under the {3}: the target of {1}% is reached. The highest of any"
            " seed and epoch is {2}%."
        ),
        "not reached": N_(
            "Validation accuracy is {0}% under the {3}: the target of {1}% is not reached. The highest of"
            " any seed and epoch is {2}%."
        ),
        "open": N_(
            "Validation accuracy is {0}% under the {3}: whether the target of {1}% is reached is "
            "undecided. The highest of any seed and epoch is {2}%."
        ),
    },
    "of": {
        "test": N_("test accuracy"),
        "validation": N_("validation accuracy"),
    },
    "meaning": {
        "same": N_("that {0} is less than {1} points from the baseline's"),
        "not better": N_("that {0} is not {1} points or more above the baseline's"),
        "not worse": N_("that {0} is not {1} points or more below the baseline's"),
        "worse": N_("that {0} is more than {1} points below the baseline's"),
        "below": N_("that {0} stays below {1}%"),
    },
    "judged": {
        "holds": N_("Taken to mean {0}, this holds here."),
        "refuted": N_("Taken to mean {0}, this does not hold here: {1}."),
        "open": N_("Taken to mean {0}, this is undecided here: {1}."),
        "own_figures": N_(
            "By its own figures, this does not hold: the target of {0}% is one of validation accuracy, "
            "which it printed as {1}% in epoch {2}; {3}% is test accuracy."
        ),
        "other": N_("No run here has the notebook's own network and training, so its answer is not judged."),
        "undecided": N_("With fewer than two seeds this cannot be judged."),
    },
    "one_run": N_(
        "The notebook compares one run with one run, {0} points apart; between seeds the baseline varies "
        "by {1} points (standard deviation)."
    ),
    "leaked": N_(
        "The notebook's validation accuracy of {0}% was measured on images that it also trained on: here "
        "it is {2}% with its split and {1}% with a disjoint one (other images, a single split)."
    ),
    "leaked_alone": N_(
        "The notebook's validation accuracy of {0}% was measured on images that it also trained on; with "
        "a disjoint split it is {1}% here (other images, a single split)."
    ),
    "reasons": {
        "q03": N_(
            "What was run is not what was asked: the epochs it reports are of a network that had been "
            "trained for at least five epochs before, so its figures stand beside ten epochs here."
        ),
        "q04": N_(
            "What was run is not what was asked: the network had a single hidden layer, so the question "
            "about both stayed unanswered."
        ),
        "q08": N_(
            "The learning rate does not change what an epoch computes; longer times in the notebook are "
            "due to its machine."
        ),
        "q09": N_(
            "What was run is not what was asked: the learning rate was 0.2, so the question about 0.02 "
            "stayed unanswered."
        ),
    },
    "figure": {
        "curves": N_("Validation accuracy over the epochs, {0}, {1}"),
        "differences": N_("Difference in test accuracy from the baseline, with 95% intervals"),
        "epoch": N_("epoch"),
        "accuracy": N_("validation accuracy, %"),
        "points": N_("difference in test accuracy, points (compressed beyond ±1)"),
    },
}
