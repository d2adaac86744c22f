"""Golden factors for tests/schedules.rs: every step of a run of 100, by PyTorch's schedulers.

    python tests/schedules/make.py

The step of mspec counts from 1, PyTorch's from 0. An epoch is 5 steps.
"""

import json
import pathlib

import torch
from torch.optim import lr_scheduler as S

HERE = pathlib.Path(__file__).parent
STEPS = 100


def factors(make, watched=None):
    """The factor of each step; `watched` gives what each evaluation, behind every fifth step, tells."""
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([param], lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    result = []
    for step in range(1, STEPS + 1):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if watched is None:
            scheduler.step()
        elif step % 5 == 0:
            scheduler.step(watched[step // 5 - 1])
    return result


# Falls, stands still, rises, falls by too little, falls again.
WATCHED = [1.0, 0.8, 0.7, 0.7, 0.72, 0.71, 0.69999, 0.6, 0.61, 0.62, 0.6, 0.63, 0.5, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3]


def chain(*parts):
    """`parts` are schedulers with the length of each but the last."""

    def make(o):
        ends, at = [], 0
        for _, length in parts[:-1]:
            at += length
            ends.append(at)
        return S.SequentialLR(o, [part(o) for part, _ in parts], ends)

    return make


def warmup(n):
    return lambda o: S.LinearLR(o, 1 / n, 1, n - 1)


CASES = [
    ("constant(factor = 0.5)", factors(lambda o: S.ConstantLR(o, 0.5, 1000))),
    ("linear(from = 0.25, to = 0.75, length = 40)", factors(lambda o: S.LinearLR(o, 0.25, 0.75, 40))),
    ("linear", factors(lambda o: S.LinearLR(o, 1, 0, STEPS))),
    ("decay(to = 10%)", factors(lambda o: S.LinearLR(o, 1, 0.1, STEPS))),
    ("polynomial(power = 3)", factors(lambda o: S.PolynomialLR(o, STEPS, 3))),
    ("polynomial(power = 0.5, length = 60)", factors(lambda o: S.PolynomialLR(o, 60, 0.5))),
    ("cosine", factors(lambda o: S.CosineAnnealingLR(o, STEPS))),
    ("cosine(floor = 10%)", factors(lambda o: S.CosineAnnealingLR(o, STEPS, 0.1))),
    ("exponential(0.97)", factors(lambda o: S.ExponentialLR(o, 0.97))),
    ("step(30)", factors(lambda o: S.StepLR(o, 30))),
    ("step(4 epochs, gamma = 0.5)", factors(lambda o: S.StepLR(o, 20, 0.5))),
    ("multi_step([20, 50, 51], gamma = 0.3)", factors(lambda o: S.MultiStepLR(o, [20, 50, 51], 0.3))),
    ("multi_step([8 epochs, 16 epochs])", factors(lambda o: S.MultiStepLR(o, [40, 80]))),
    ("one_cycle", factors(lambda o: S.OneCycleLR(o, 1, STEPS))),
    (
        "one_cycle(warm = 45%, start = 10, end = 100)",
        factors(lambda o: S.OneCycleLR(o, 1, STEPS, pct_start=0.45, div_factor=10, final_div_factor=100)),
    ),
    ("restarts(30)", factors(lambda o: S.CosineAnnealingWarmRestarts(o, 30))),
    ("restarts(7, grow = 2, floor = 5%)", factors(lambda o: S.CosineAnnealingWarmRestarts(o, 7, 2, 0.05))),
    (
        "inverse_sqrt(16)",
        factors(lambda o: S.LambdaLR(o, lambda t: (16 / (16 + t)) ** 0.5)),
    ),
    (
        "warmup(10) -> cosine(floor = 10%)",
        factors(chain((warmup(10), 10), (lambda o: S.CosineAnnealingLR(o, 90, 0.1), None))),
    ),
    (
        "warmup(10%) -> constant(length = 50) -> linear(length = 40)",
        factors(
            chain((warmup(10), 10), (lambda o: S.ConstantLR(o, 1, 50), 50), (lambda o: S.LinearLR(o, 1, 0, 40), None))
        ),
    ),
    (
        "warmup(20) -> inverse_sqrt(20)",
        factors(lambda o: S.LambdaLR(o, lambda t: (t + 1) / 20 if t < 20 else (20 / t) ** 0.5)),
    ),
    ("plateau(patience = 1)", factors(lambda o: S.ReduceLROnPlateau(o, patience=1), WATCHED)),
    (
        "plateau(factor = 0.5, patience = 0, change = 0.05, floor = 0.1)",
        factors(lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=0.05, min_lr=0.1), WATCHED),
    ),
]

text = json.dumps({"watched": WATCHED, "cases": [{"line": l, "factors": f} for l, f in CASES]})
(HERE / "factors.json").write_text(text.replace('{"line"', '\n{"line"') + "\n")
