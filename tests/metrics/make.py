"""Scores, targets and what scikit-learn makes of them: `python tests/metrics/make.py` writes the files beside it.

Logits are multiples of 1/4, so that there are ties; class 4 of `classes` has no target, class 5 neither a target nor a
prediction, and class 3 no prediction.
"""
import json
import pathlib
import warnings

import numpy as np
from sklearn import metrics as m

HERE = pathlib.Path(__file__).resolve().parent
warnings.simplefilter("ignore")


def averages(function, target, predicted):
    found = {a: float(function(target, predicted, average=a, zero_division=0)) for a in ("micro", "macro", "weighted")}
    each = function(target, predicted, average=None, labels=range(6), zero_division=0)
    return {**found, "each": [float(v) for v in each]}


def odds(logits, k):
    others = np.delete(logits, k, axis=1)
    top = others.max(1)
    return logits[:, k] - top - np.log(np.exp(others - top[:, None]).sum(1))


def classes():
    rng = np.random.default_rng(1)
    target = rng.choice(4, 83, p=[0.4, 0.3, 0.2, 0.1])
    logits = np.round(4 * rng.normal(size=(83, 6))) / 4
    logits[np.arange(83), target] += 1.0
    logits[:, 5] = -9
    logits[:, 3] = logits.min(1) - 0.25
    predicted = logits.argmax(1)
    z = logits - logits.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    present = range(4)
    areas = [m.roc_auc_score(target == k, odds(logits, k)) for k in present]
    precisions = [m.average_precision_score(target == k, odds(logits, k)) for k in present]
    support = np.bincount(target, minlength=6)
    fpr, tpr, _ = m.roc_curve(target == 1, odds(logits, 1), drop_intermediate=False)
    precision, recall, _ = m.precision_recall_curve(target == 1, odds(logits, 1))
    grid = np.linspace(0, 1, 11)
    # scikit-learn's recalls fall; from the highest score on, the first that reaches the point counts.
    descending = list(zip(recall[:-1][::-1], precision[:-1][::-1]))
    at = [next(q for r, q in descending if r >= g - 1e-12) for g in grid]
    upper = {}
    for x, y in zip(fpr, tpr):
        upper[x] = max(y, upper.get(x, 0))
    xs, ys = np.array(sorted(upper)), np.array([upper[x] for x in sorted(upper)])
    lower = {}
    for x, y in zip(fpr, tpr):
        lower[x] = min(y, lower.get(x, 2))
    lows = np.array([lower[x] for x in sorted(lower)])

    def roc(g):
        i = np.searchsorted(xs, g + 1e-12) - 1
        if i + 1 == len(xs):
            return ys[i]
        return ys[i] + (g - xs[i]) / (xs[i + 1] - xs[i]) * (lows[i + 1] - ys[i])

    tied = [[0.5, 0.5, 0.25, 1.0, 1.0, 1.0, 0.0, 0.25], [1, 0, 1, 1, 0, 0, 0, 0]]
    return {
        "logits": logits.tolist(),
        "target": target.tolist(),
        "accuracy": m.accuracy_score(target, predicted),
        "balanced_accuracy": m.balanced_accuracy_score(target, predicted),
        "precision": averages(m.precision_score, target, predicted),
        "recall": averages(m.recall_score, target, predicted),
        "f1": averages(m.f1_score, target, predicted),
        "iou": averages(m.jaccard_score, target, predicted),
        "log_loss": m.log_loss(target, p, labels=range(6)),
        "confusion": m.confusion_matrix(target, predicted, labels=range(6)).tolist(),
        "support": support.tolist(),
        "auc": {"macro": np.mean(areas), "weighted": np.average(areas, weights=support[:4])},
        "average_precision": {"macro": np.mean(precisions), "weighted": np.average(precisions, weights=support[:4])},
        "roc": [[g, roc(g)] for g in grid],
        "precision_recall": [[g, q] for g, q in zip(grid, at)],
        "tied": {
            "score": tied[0],
            "truth": tied[1],
            "area": m.roc_auc_score(tied[1], tied[0]),
            "precision": m.average_precision_score(tied[1], tied[0]),
            "roc": [list(p) for p in zip(*m.roc_curve(tied[1], tied[0], drop_intermediate=False)[:2])],
        },
    }


def binary():
    rng = np.random.default_rng(2)
    target = (rng.random(60) < 0.3).astype(int)
    logits = np.round(4 * (rng.normal(size=(60, 2)))) / 4
    logits[np.arange(60), target] += 0.75
    predicted = logits.argmax(1)
    score = logits[:, 1] - logits[:, 0]
    return {
        "logits": logits.tolist(),
        "target": target.tolist(),
        "precision": m.precision_score(target, predicted),
        "recall": m.recall_score(target, predicted),
        "f1": m.f1_score(target, predicted),
        "auc": m.roc_auc_score(target, score),
        "average_precision": m.average_precision_score(target, score),
    }


def sequence():
    """Positions of sequences, some of which do not count; no two logits are equal, so that `top` has no ties."""
    rng = np.random.default_rng(3)
    logits = rng.permutation(15 * 6 * 5).reshape(15, 6, 5) / 64
    target = rng.integers(0, 5, (15, 6))
    mask = rng.random((15, 6)) < 0.7
    x, t = logits[mask], target[mask]
    return {
        "logits": logits.tolist(),
        "target": target.tolist(),
        "mask": mask.astype(int).tolist(),
        "accuracy": m.accuracy_score(t, x.argmax(1)),
        "top": m.top_k_accuracy_score(t, x, k=2, labels=range(5)),
        "f1": m.f1_score(t, x.argmax(1), average="macro"),
        "auc": np.mean([m.roc_auc_score(t == k, odds(x, k)) for k in range(5)]),
    }


def regression():
    rng = np.random.default_rng(4)
    target = np.round(300 + 20 * rng.normal(size=70), 2)
    predicted = np.round(target + 5 * rng.normal(size=70), 2)
    return {
        "predicted": predicted.tolist(),
        "target": target.tolist(),
        "mae": m.mean_absolute_error(target, predicted),
        "mse": m.mean_squared_error(target, predicted),
        "rmse": m.mean_squared_error(target, predicted) ** 0.5,
        "r2": m.r2_score(target, predicted),
    }


for make in (classes, binary, sequence, regression):
    (HERE / f"{make.__name__}.json").write_text(json.dumps(make(), default=float) + "\n")
