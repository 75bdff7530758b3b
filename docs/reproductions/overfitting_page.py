"""The text of overfitting.md around its tables; numbers in it are those of the runs."""

from __future__ import annotations

import platform
from importlib.metadata import version

from overfitting_figures import CHOICE, GAP
from overfitting_relations import (
    BY_BAND,
    DISTANCE,
    END,
    FITTED,
    GROWTH_TEST,
    HINDSIGHT,
    LEVEL,
    NOISE_TEST,
    OUI_TESTS,
    RANK_TESTS,
    ROTATION_TESTS,
    SHUFFLES,
    Tests,
    alone,
    best_in_band,
    choices,
    early_and_late,
    factor,
    firm,
    fitted,
    holding,
    moderate,
    span,
    step_by_step,
    told,
)
from overfitting_runs import (
    BATCH,
    DECAYS,
    DRAWS,
    EARLY,
    EPOCHS,
    FIRST,
    GAP_RATES,
    GAP_SEEDS,
    KEPT,
    MOMENTUM,
    RATE,
    RATES,
    SEEDS,
    SMALL,
    STEPS,
    TRAIN,
    TURN_BATCH,
    TURNS,
    Results,
)
from overfitting_tables import (
    READ,
    choice_table,
    decay_table,
    first_table,
    growth_table,
    line,
    rank_table,
    rotation_table,
    test_table,
)


def outcome(results: Results, tests: Tests, sure: set[tuple[str, str]]) -> str:
    """One line a claim: what is said, and what was found."""
    first = [factor(runs)[2] for runs in results.first.values()]
    found = [choices(runs) for runs in results.decayed.values()]
    lost = [100 * float((ways[HINDSIGHT] - ways[BY_BAND]).mean()) for ways in found]
    clean, noisy = (tests["rotation ~ accuracy", f"{noise} % noise, all"] for noise in (0, 20))
    wide = tests["rotation ~ gap", "20 % noise, all"]
    apart, late = step_by_step(results), early_and_late(results)[1]
    rank = {setting: tests[RANK_TESTS[0], told(setting)].mean for setting in results.decayed}
    pure, mixed = ([r for (_, n), r in rank.items() if (n > 0) == noisy] for noisy in (False, True))
    rows = (
        (
            "OUI falls with weight decay",
            f"ρ {span(tests, OUI_TESTS[0])}, firm in {holding(tests, sure, OUI_TESTS[0], -1)} "
            "settings",
        ),
        (
            "OUI after a tenth of training tells that at the end",
            f"ρ {span(tests, OUI_TESTS[2])}, firm in {holding(tests, sure, OUI_TESTS[2], 1)}",
        ),
        (
            "the best decay has OUI in 0.6 to 0.8",
            f"{best_in_band(results, EARLY)} settings at a tenth, {best_in_band(results, END)} at "
            f"the end; nearness to the band ranks accuracy in {holding(tests, sure, DISTANCE, -1)}",
        ),
        (
            "so the band picks the decay",
            f"what it picks at a tenth is {min(lost):.1f} to {max(lost):.1f} points of accuracy "
            "below the best decay",
        ),
        (
            "layers that rotate more generalise better",
            f"clean labels: ρ {clean.mean:+.2f} with accuracy; 20 % noise: {noisy.mean:+.2f}, and "
            f"{wide.mean:+.2f} with the gap",
        ),
        (
            "a step widens the gap by η tr Σ / N",
            f"first {FIRST[END]} steps: measured / predicted {min(first):.2f} to {max(first):.2f}; "
            f"after {STEPS[END]} steps {late}",
        ),
        (
            "as a trend, this follows the gap",
            f"ρ {tests[GROWTH_TEST].mean:+.2f} over descents; step by step within one "
            f"{apart.mean:+.2f} ({apart.low:+.2f} to {apart.high:+.2f})",
        ),
        (
            "the rank of features tracks the gap",
            f"over weight decay, noisy labels: ρ {min(mixed):+.2f} to {max(mixed):+.2f}; clean "
            f"labels: {min(pure):+.2f} to {max(pure):+.2f}",
        ),
    )
    return "\n".join(("| said | found |", "| --- | --- |", *map(line, rows)))


def page(results: Results, tests: Tests, seconds: float) -> str:
    sure = firm(tests)
    packages = ("dyntools", "torch", "numpy", "scipy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    sections = (
        opening(results, tests, sure),
        oui_section(results, tests, sure),
        rotation_section(results, tests, sure),
        growth_section(results, tests),
        rank_section(results, tests, sure),
        CLOSING,
    )
    return f"""\
{"".join(sections)}
Made by `python docs/reproductions/overfitting.py` (Python {platform.python_version()},
{versions}), in {seconds / 60:.0f} minutes of one core.
On another processor single values differ.
"""


def opening(results: Results, tests: Tests, sure: set[tuple[str, str]]) -> str:
    return f"""\
# Overfitting, told from the training images alone

**Claims.** Four numbers that need no validation data are said to tell how a network will do on
images that it has not seen: OUI, to be kept between 0.6 and 0.8 by weight decay
(Fernández-Hernández et al. 2025, [arXiv:2504.17160](https://arxiv.org/abs/2504.17160)); layer
rotation (Carbonnelle & De Vleeschouwer 2019, [arXiv:1806.01603](https://arxiv.org/abs/1806.01603));
the growth of the gap by η tr Σ / N a step (Roberts 2021,
[arXiv:2104.04874](https://arxiv.org/abs/2104.04874)); and the effective rank of features (Roy &
Vetterli 2007).

**Outcome. Partly reproduced: as trends; not as thresholds.** What a trend means for unseen images
depends on whether labels are wrong, which none of the four sees.

{outcome(results, tests, sure)}

"Firm": p below {LEVEL:g} after Holm's correction over all {len(tests)} tests of this page.

## Setting

{TRAIN} of 1200 of scikit-learn's 8 × 8 digits to train (those of `fixtures/runs/digits-cnn`) and
{2 * TRAIN} held out, drawn anew for each of {SEEDS} seeds. Noise: this share of the labels, of \
training and of
held-out images alike, is drawn at random from the ten classes. **Gap**: held-out loss less training
loss, both with noisy labels, in evaluation mode. **Accuracy**: on held-out images, against the true
labels. The metrics are those of `dyntools.measure`, on the training images.

ρ is Spearman's over the conditions of a seed: its mean over seeds, and in brackets its least and
most. p is two-sided, from {SHUFFLES} shuffles of the conditions within each seed; \\* marks what \
is firm.
"""


def oui_section(results: Results, tests: Tests, sure: set[tuple[str, str]]) -> str:
    left, gain = moderate(results)
    return f"""
## 1. OUI and weight decay

64-128-128-128-10 (MLP) and three convolutions of 16, 32 and 32 channels (CNN), both with batch
normalisation before each ReLU; SGD with momentum {MOMENTUM:g}, rate {RATE:g} falling as a cosine,
{EPOCHS} epochs in batches of {BATCH}. A cell holds OUI after {KEPT[EARLY]} epochs (a tenth), OUI \
at the end, and
accuracy at the end; bold: the best mean. OUI is `model_pairs`, the paper's form.

{decay_table(results)}

{test_table(tests, sure, OUI_TESTS)}

Accuracy at the end ± standard error, were the decay of each seed chosen so. Where several runs are
equally near the band, it is their mean:

{choice_table(results)}

![OUI over weight decay, accuracy over OUI, accuracy over rotation](figures/{CHOICE.name})

Left and middle: the grey band is the paper's; lines are means over seeds, rings mark the best
decay. Right: question 2.

- OUI falls with decay, and after a tenth of training the order of the runs is largely there.
- The band does not transfer. The MLP is above it at nearly every decay, and tests as well there as
  within; the CNN is inside it at nearly every decay, at good and bad ones.
- A tenth into training, decay {DECAYS[-1]:g} has collapsed every network to an OUI below 0.2. For \
the CNN, the
  paper's kind of network, the band so warns of the worst decay by far. The MLP recovers, and with
  20 % noise that decay is as good as any.
- With noise, decay 0.03 leaves {left} of the gap without decay, and changes accuracy by
  {gain} points: a smaller gap in loss is hardly a better classifier.
- OUI rises with the gap with noise and falls with it without. On clean labels decay widens the gap
  in loss, probably as it makes the network less sure of images that it gets right.
- Over decay OUI orders the gap no better than decay itself (the row below it), which is known.
"""


def rotation_section(results: Results, tests: Tests, sure: set[tuple[str, str]]) -> str:
    fit = "; ".join(
        f"{100 * noise:.0f} % noise: {', '.join(f'{RATES[i]:g}' for i in fitted(runs))}"
        for noise, runs in results.turned.items()
    )
    clean = results.turned[0.0][:, :, 1]
    points = 100 * float((clean[0] - clean[-1]).mean())
    return f"""
## 2. Rotation and learning rate

64-128-128-10 without normalisation, plain SGD at a constant rate, {TURNS} epochs in batches of \
{TURN_BATCH}.
Rotation: mean of `layer_rotation` over the three kernels. Rates at which every seed fits at least
{100 * FITTED:.0f} % of its training labels: {fit}.

{rotation_table(results)}

{test_table(tests, sure, ROTATION_TESTS)}

- A larger rate rotates further, in every seed.
- On clean labels runs that rotated more are better, as the paper says: {points:.1f} points from the
  smallest rate to the largest.
- With noise the best run is the one that rotated least: it is too slow to fit the wrong labels.
  Among the three rates that do fit them, more rotation is again better, though not firmly. The gap
  grows with rotation either way.
- So the claim needs runs that fit equally well. And the rate moves more than rotation: with
  [Layca](layer_rotation.md), which fixes the angle of a step, more rotation meant less accuracy.
"""


def growth_section(results: Results, tests: Tests) -> str:
    young, late = early_and_late(results)
    apart, ends = step_by_step(results), tests[GROWTH_TEST]
    error = max(factor(runs, READ[0])[3] for runs in results.growth.values())
    return f"""
## 3. Growth of the gap

64-128-128-10 without normalisation, plain SGD at a constant rate on N images, all at once or in
batches of {SMALL}. Two runs start from the same weights; each trains on one set of N images and is
tested on the other's, and their mean gap is taken: which set is the easier one then falls out.
Predicted: the sum of [gap_growth](../metrics/gap_growth.md) over the steps, by trapezoids between
{len(STEPS)} of them.

The first {FIRST[END]} steps at rate {GAP_RATES[0]:g}, clean labels, {DRAWS} draws of images, \
± standard error:

{first_table(results)}

Later, mean of {GAP_SEEDS} seeds: how much wider the gap is than at the start, and in brackets \
measured /
predicted, of which the standard error at step {STEPS[READ[0]]} is up to {error:.2f}. These draws \
are among the {DRAWS}.

{growth_table(results)}

![Widening measured and predicted, gap over rank](figures/{GAP.name})

Left: means over seeds. Right: question 4; lines are means over seeds along weight decay.

- At the start the formula is right, for N = 100 and 400, for all images at once and for batches.
  While the training loss is above nine tenths of its start, the quotient is {young}.
- Once images are fitted it is {late}: weights that have seen the images are not
  independent of them, and the gap levels off where the formula goes on. Summed over a run it is
  several to twenty times too large.
- The order of whole runs survives: ρ {ends.mean:+.2f} over the {len(results.growth)} descents of \
a seed, p {ends.p:.1g}. Step by step
  within a run it does not: {apart.mean:+.2f}, and {apart.low:+.2f} to {apart.high:+.2f} over runs.
- Batches of {SMALL} widen the gap a step as much as all images do, as the formula has it. With \
noise and
  a large rate they fall behind in the end, but so does their training.
"""


def rank_section(results: Results, tests: Tests, sure: set[tuple[str, str]]) -> str:
    noise, related = tests[NOISE_TEST], holding(tests, sure, RANK_TESTS[1], 1)
    return f"""
## 4. Rank of features

The runs of question 1. Rank: [feature_rank](../metrics/feature_rank.md) of what enters the last
layer, of an even selection of the training images. A cell holds rank and gap at the end.

{rank_table(results)}

{test_table(tests, sure, RANK_TESTS)}

Over label noise of 0, 20 and 50 %, without decay (MLP): ρ {noise.mean:+.2f}, p {noise.p:.1g}.

- With noise the rank orders the gaps almost without fault: over decay, over noise and along a run,
  and after a tenth of training already. What is memorised takes up directions.
- On clean labels the order over decay is the reverse, as with OUI.
- It is no order of accuracy: that is firm in {related} settings.
- Rank, OUI and decay move together, and over decay each orders the gap as decay does. Between seeds
  at one decay, where decay tells nothing, mean ρ with the gap is {alone(results, "rank")} for the
  rank and {alone(results, "oui")} for OUI, over the settings. That is not tested: the seeds at all
  decays share their images.
"""


CLOSING = f"""
## What transfers

- For [oui](../metrics/oui.md): compare runs of one recipe; a fall may be decay at work, a fall
  below 0.2 a collapse. Do not aim at 0.6 to 0.8.
- For [layer_rotation](../metrics/layer_rotation.md): no target either. Where labels are wrong,
  further may mean that they are being learnt.
- For [gap_growth](../metrics/gap_growth.md): a number for the first pass over the data and a
  ranking of recipes after it; no estimate of the gap of a trained network, and not its course.
- For [feature_rank](../metrics/feature_rank.md): a rise where labels are suspect points to
  memorising. With clean labels it does not.
- None of the four replaces held-out images.

## Limits

Small networks, {TRAIN} small images, one optimizer a question. The paper of OUI is about CNNs on
CIFAR-100, TinyImageNet and ImageNet, measured on training batches in training mode, and is not
refuted. Weight decay and rate were varied alone: effects of OUI, rotation and rank cannot be told
from theirs. The noise is symmetric. Five seeds, whose draws from 1200 images overlap, show large
effects only.
"""
