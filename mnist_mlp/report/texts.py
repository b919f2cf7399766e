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
    "reading": [
        N_(
            "± is half of the mean's 95% t-interval over n replicates. It is of runs like these on these 10,000 test "
            "images; “on other digits” is half of an interval for which the images are a sample, too (two-way analysis "
            "of variance). Accuracies are percentages, differences percentage points."
        ),
        N_(
            "A verdict on a difference from the baseline is better or worse if a t-test shows it; the same within {0} "
            "points if two one-sided t-tests show that; otherwise it is undecided, with the number of replicates that "
            "would decide it with a probability of 80%, should the difference and the spread stay as they are. Fewer "
            "than three replicates decide nothing. Verdicts are adjusted for multiple comparisons by Holm's method at "
            "the level 0.05: in this summary for all comparisons of the report ({1}), in each answer for those of its "
            "question. The interval beside a verdict is the one at its adjusted level, and says the same. “Detectable” "
            "is the smallest difference that would have been found with a probability of 80%."
        ),
        N_(
            "Where runs fail (test accuracy below 50%) or differences are far from normal, the median with the lowest "
            "and the highest replace mean and interval, and a sign test replaces the t-test. A difference is then the "
            "median of the differences, not the difference of the medians."
        ),
        N_(
            "A name in brackets is an experiment, as in python train.py experiment=q02; _as_run is what the notebook "
            "ran where the question asks for something else. Of the notebook's answers, what they say about accuracy "
            "and time is judged, read as a range; the ranges are this report's choice. An answer holds if the 95% "
            "interval lies inside its range, does not hold if it lies outside, and is otherwise undecided. Seconds are "
            "medians of runs that were timed one at a time, in turns with the baseline (mnist-mlp time)."
        ),
    ],
    "replicates": {
        "own": N_(
            "Each replicate has its own seed and its own split of the training images, the same for all variants."
        ),
        "shared": N_(
            "All replicates share one split of the training images (data.split_seed={0}): no interval covers what "
            "another split would change, and seeds are compared as independent samples."
        ),
    },
    "protocols": {
        "disjoint": N_("Disjoint protocol: the 6,000 validation images are never trained on."),
        "notebook": N_(
            "Notebook protocol: split as in the notebook, so that nearly all validation images are also trained on."
        ),
    },
    "summary_of": N_("Under the {0}:"),
    "leak_text": N_(
        "In the notebook's split, nearly all validation images are also trained on, in other epochs. The table "
        "compares the same networks under both protocols. The notebook's validation images come from the first 15,900 "
        "records or so, so that not all of a difference is the leak: some of these images are easier, too. Test "
        "images are never trained on in either."
    ),
    "printed": N_(
        "Of the {0} validation and test accuracies that the notebook printed at the end, {1} lie within the 95% "
        "prediction interval of a single run under its protocol{2}."
    ),
    "except": N_("; the others are {0}"),
    "printed_figure": N_("question {0}, {1}: {2}% ({3} to {4}%)"),
    "columns": {
        "question": N_("question"),
        "variant": N_("variant"),
        "data": N_("data"),
        "n": N_("n"),
        "validation": N_("validation %"),
        "test": N_("test %"),
        "difference": N_("difference in test, points"),
        "other_digits": N_("on other digits"),
        "difference_validation": N_("difference in validation, points"),
        "p": N_("p"),
        "verdict": N_("verdict"),
        "verdict_validation": N_("verdict on validation"),
        "detectable": N_("detectable"),
        "seconds": N_("seconds"),
        "ratio": N_("times the baseline"),
        "notebook_ratio": N_("notebook: times"),
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
        "the same": N_("the same"),
        "undecided": N_("undecided"),
        "too few": N_("too few replicates"),
    },
    "needs": N_("{0} ({1} would decide)"),
    "percent": N_("{0}%"),
    "difference": {
        "better": N_("{0}: better than the baseline ({1} points, {2})"),
        "worse": N_("{0}: worse than the baseline ({1} points, {2})"),
        "the same": N_("{0}: the same as the baseline within {3} points ({1}, {2})"),
        "undecided": N_("{0}: undecided ({1} points, {2}; about {4} would decide)"),
        "open": N_("{0}: undecided ({1} points, {2})"),
        "too few": N_("{0}: {2} decide nothing ({1} points); train at least three"),
        "none": N_("{0}: no completed runs to compare"),
        "validation": N_("{0}; on validation {1} ({2})"),
    },
    "with": {
        "q02": N_("With one more hidden layer"),
        "q03": N_("With five hidden layers"),
        "q04": N_("With sigmoid in both hidden layers"),
        "q05": N_("With ReLU, then tanh"),
        "q06": N_("With batch 10,000"),
        "q07": N_("With batch 1"),
        "q08": N_("With a learning rate of 0.0001"),
        "q09": N_("With a learning rate of 0.02"),
        "q10": N_("With everything combined"),
    },
    "lead": {
        "better": N_("{0}, test accuracy is {1} points higher than the baseline's."),
        "worse": N_("{0}, test accuracy is {1} points lower than the baseline's."),
        "the same": N_("{0}, test accuracy is the same as the baseline's within {2} points."),
        "undecided": N_("{0}, it is undecided whether test accuracy differs from the baseline's."),
        "too few": N_("{0}, nothing is decided yet: that takes three replicates."),
    },
    "lead_width": {
        "better": N_("Yes. A width of {0} is better than 200, by {1} points."),
        "undecided": N_("Undecided. No width is shown to be better than 200, and of {0} it is open."),
        "the same": N_("No. None of these widths is better than 200."),
        "too few": N_("Nothing is decided yet: that takes three replicates."),
    },
    "lead_target": {
        "reached": N_("Yes. Validation accuracy is {0}%, above the target of {1}%."),
        "not reached": N_("No. Validation accuracy is {0}%, below the target of {1}%."),
        "open": N_("Undecided. Validation accuracy is {0}%, and the target {1}%."),
    },
    "prefix": {"yes": N_("Yes. {0}"), "no": N_("No. {0}")},
    "why": N_("Why"),
    "why_of": {
        "q01": N_(
            "A wider layer has more weights to fit the training images with, and soon enough of them: from some 350 "
            "units on, what is missing is images, not units."
        ),
        "q02": N_(
            "Two hidden layers can already fit the training images almost perfectly, so that a third adds parameters "
            "and time, but hardly anything to be learned."
        ),
        "q03": N_(
            "Five layers have twice the parameters of two, and a gradient that has to pass through more of them; what "
            "matters is compared at equal parameters and at equal time."
        ),
        "q04": N_(
            "A sigmoid's slope is at most 1/4, so that each layer shrinks the gradient, and its output is never "
            "centred on zero (LeCun et al. 1998; Glorot and Bengio 2010): the network learns more slowly, and five "
            "epochs are too few."
        ),
        "q05": N_(
            "tanh is steep and centred on zero where most of these sums are: in the second layer it loses nothing, "
            "in the first a little."
        ),
        "q06": N_(
            "An epoch has 6 optimizer steps instead of 540: in five epochs the network takes 90 times fewer steps, and "
            "is not trained to the end. A gradient over 10,000 images is less noisy, but each step goes no further."
        ),
        "q07": N_(
            "A step after each image takes a hundred times as many steps, with a gradient of a single image: with "
            "Adam's learning rate of 0.001 the weights keep jumping about the optimum. A smaller learning rate "
            "makes the jumps smaller, and an average of the weights evens them out. The time comes from the number of "
            "steps."
        ),
        "q08": N_(
            "Adam moves each weight by about the learning rate a step (Kingma and Ba 2015): with a tenth of it, five "
            "epochs go a tenth as far. The learning rate does not change what an epoch computes, nor its time."
        ),
        "q09": N_(
            "Above a certain learning rate the steps overshoot the valleys of the loss (for Adam, Cohen et al. 2022, "
            "arXiv:2207.14484): units can be thrown to where ReLU is zero for every image, and do not come back. A "
            "warm-up spares only the first steps, so that it changes little."
        ),
        "q10": N_(
            "Without any one of its parts, accuracy stays about the same: a sum of small differences does not reach "
            "what more units, a larger batch and more epochs do (experiment=q10_best)."
        ),
    },
    "explaining": {
        "q02_equal_parameters": N_("three layers with as many parameters as the baseline (174 units each)"),
        "q02_equal_time": N_("two layers for as long as three take (7 epochs)"),
        "q03_equal_parameters": N_("two layers with as many parameters (350 units each)"),
        "q03_equal_time": N_("two layers for as long as five take (10 epochs)"),
        "q04_init": N_("sigmoid with initial weights that suit it (Glorot's times 4)"),
        "q04_20_epochs": N_("sigmoid after 20 epochs"),
        "q05_tanh_relu": N_("tanh, then ReLU"),
        "q05_tanh_tanh": N_("tanh in both"),
        "q06_60_epochs": N_("batch 10,000 after 60 epochs (360 steps)"),
        "q06_equal_steps": N_("batch 10,000 after 450 epochs (2,700 steps, as many as the baseline)"),
        "q06_scaled_lr": N_("batch 10,000 with a learning rate of 0.01 (times the root of 100)"),
        "q07_lr": N_("batch 1 with a learning rate of 0.0001"),
        "q07_averaged": N_("batch 1 with averaged weights"),
        "q08_20_epochs": N_("learning rate 0.0001 after 20 epochs"),
        "q08_50_epochs": N_("learning rate 0.0001 after 50 epochs"),
        "q09_warmup": N_("learning rate 0.02 with a warm-up"),
        "q10_sizes": N_("without its sizes (200-200-200)"),
        "q10_relu": N_("without its activations (ReLU)"),
        "q10_lr": N_("without its learning rate (0.001)"),
        "q10_batch": N_("without its batch (100)"),
        "q10_best": N_("2048-200 units, batch 1,000, learning rate 0.002 and 80 epochs (q10_best)"),
    },
    "explained": N_("Test accuracy beside the baseline's {0}: {1}."),
    "explained_by": N_("{0}, {1} ({2}{3})"),
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
    "beside": N_("the baseline: {0} of the test images, {1} of the validation images"),
    "launched": N_("± over {0}, each with its own seed and split"),
    "launched_shared": N_("± over {0}, which share the split {1}"),
    "repeat": N_("the report: {0}"),
    "nothing": N_("There are no completed runs."),
    "diverged": N_("Diverged, not in the means: {0}."),
    "missing": N_("Missing: {0}."),
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
            "which it printed as {1}% in epoch {2}; {3}% is test accuracy. Above {0}% it also printed that of "
            "questions {4}. All of these were measured on images that it also trained on."
        ),
        "time holds": N_("Of time it says {0}; here it takes {1} times as long as the baseline, which agrees."),
        "time refuted": N_(
            "Of time it says {0}; here it takes {1} times as long as the baseline, which does not agree."
        ),
        "time open": N_("Of time it says {0}; here it takes {1} times as long as the baseline, which leaves it open."),
        "other": N_("No run here has the notebook's own network and training, so its answer is not judged."),
        "undecided": N_("With fewer than three replicates this cannot be judged."),
    },
    "time_words": {
        "q02": N_("that it takes nearly 50% more"),
        "q03": N_("that it takes twice as long"),
        "q06": N_("that it is close to the original, a little lower"),
        "q07": N_("that it takes more than 80 times as long"),
        "q08": N_("that it takes about twice as long"),
    },
    "one_run": N_(
        "The notebook compares one run with one run, {0} points apart; between replicates the baseline varies "
        "by {1} points (standard deviation)."
    ),
    "leaked": N_(
        "The notebook's validation accuracy of {0}% was measured on images that it also trained on: here "
        "it is {2}% with its split and {1}% with a disjoint one."
    ),
    "leaked_alone": N_(
        "The notebook's validation accuracy of {0}% was measured on images that it also trained on; with "
        "a disjoint split it is {1}% here."
    ),
    "reasons": {
        "q01": N_("The 97.99% and 13.2 s of its answer are not what it printed: 97.97% and 11 s."),
        "q03": N_(
            "What was run is not what was asked: the epochs it reports are of a network that had been "
            "trained for at least five epochs before, so its figures stand beside ten epochs here."
        ),
        "q04": N_(
            "What was run is not what was asked: the network had a single hidden layer, so the question "
            "about both stayed unanswered."
        ),
        "q07": N_("That small batches bring noise is true; the time is due to a hundred times as many steps."),
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
        "curves": N_("Validation accuracy of question {0} over the epochs ({1})"),
        "curves_note": N_("Means over the replicates; bands reach from the lowest to the highest."),
        "all_curves": N_("Validation accuracy of all ten questions over the epochs ({0})"),
        "differences": N_("Difference in test accuracy from the baseline"),
        "differences_note": N_("With the intervals that belong to the verdicts, for all comparisons of the report."),
        "epoch": N_("epoch"),
        "accuracy": N_("validation accuracy, % (logit scale)"),
        "points": N_("difference in test accuracy, points (compressed beyond ±1)"),
    },
}
