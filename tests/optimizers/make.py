"""Golden parameters for tests/optimizers.rs: 50 updates from the same gradients, in float64.

    python tests/optimizers/make.py

Where PyTorch has the optimizer it is PyTorch's; Muon (whose iteration PyTorch runs in bfloat16), Lion, LAMB, LARS, Sophia
and Lookahead are written here after their papers. Weights are [in, out], the transpose of nn.Linear's; a convolution's
[rows, columns, in, out].
"""

import json
import math
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
STEPS = 50
KEPT = [1, 2, 7, 50]
SHAPES = {"matrix": (6, 5), "wide": (3, 8), "kernel": (2, 2, 3, 4), "vector": (7,)}
MATRICES = ["matrix", "wide", "kernel"]


def numbers():
    source = np.random.default_rng(20)
    first = {n: source.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}
    # Elements of different size, as gradients have.
    scale = {n: np.exp(source.normal(size=s)) for n, s in SHAPES.items()}
    gradients = [
        {n: (scale[n] * source.normal(0.3, 1, size=s)).astype(np.float32) for n, s in SHAPES.items()}
        for _ in range(STEPS)
    ]
    return first, gradients


FIRST, GRADIENTS = numbers()


def pytorch(make):
    """Runs one of PyTorch's optimizers."""

    def run(names):
        params = {n: torch.nn.Parameter(torch.tensor(FIRST[n], dtype=torch.float64)) for n in names}
        optimizer = make(list(params.values()))
        for gradients in GRADIENTS:
            for n, p in params.items():
                p.grad = torch.tensor(gradients[n], dtype=torch.float64)
            optimizer.step()
            yield {n: p.detach().numpy().copy() for n, p in params.items()}

    return run


def own(update):
    """Runs `update(param, gradient, state, step)`, which gives the new parameter."""

    def run(names):
        params = {n: FIRST[n].astype(np.float64) for n in names}
        states = {n: {} for n in names}
        for step, gradients in enumerate(GRADIENTS, 1):
            for n in names:
                params[n] = update(params[n], gradients[n].astype(np.float64), states[n], step)
            yield dict(params)

    return run


def moments(g, state, beta1, beta2):
    state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    return state["m"], state["v"]


def lion(lr, beta1=0.9, beta2=0.99, decay=0.0):
    def update(p, g, state, step):
        m = state.get("m", np.zeros_like(p))
        state["m"] = beta2 * m + (1 - beta2) * g
        return p * (1 - lr * decay) - lr * np.sign(beta1 * m + (1 - beta1) * g)

    return update


def lamb(lr, beta1=0.9, beta2=0.999, eps=1e-6, decay=0.01):
    def update(p, g, state, step):
        m, v = moments(g, state, beta1, beta2)
        u = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps) + decay * p
        weight, length = np.linalg.norm(p), np.linalg.norm(u)
        return p - lr * (weight / length if weight > 0 and length > 0 else 1) * u

    return update


def lars(lr, momentum=0.9, trust=0.001, eps=1e-8, decay=0.0):
    def update(p, g, state, step):
        weight, length = np.linalg.norm(p), np.linalg.norm(g)
        local = trust * weight / (length + decay * weight + eps) if weight > 0 and length > 0 else 1
        state["v"] = momentum * state.get("v", 0) + lr * local * (g + decay * p)
        return p - state["v"]

    return update


def sophia(lr, beta1=0.965, beta2=0.99, rho=0.04, samples=1, interval=10, decay=0.1):
    def update(p, g, state, step):
        state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
        if (step - 1) % interval == 0:
            state["h"] = beta2 * state.get("h", 0) + (1 - beta2) * g * g
        ratio = np.minimum(np.abs(state["m"]) / (rho * samples * state["h"] + 1e-15), 1)
        return p * (1 - lr * decay) - lr * np.sign(state["m"]) * ratio

    return update


def muon(lr, momentum=0.95, nesterov=True, decay=0.1, steps=5, eps=1e-7):
    def update(p, g, state, step):
        v = state["v"] = momentum * state.get("v", 0) + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * v if nesterov else v
        x = u.reshape(-1, u.shape[-1])
        rows, columns = x.shape
        x = x.T if rows > columns else x
        x = x / max(np.linalg.norm(x), eps)
        for _ in range(steps):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        x = x.T if rows > columns else x
        # PyTorch's weight is [out, in], and its rate grows by sqrt(max(1, out / in)).
        return p * (1 - lr * decay) - lr * math.sqrt(max(1, columns / rows)) * x.reshape(p.shape)

    return update


def lookahead(inner, interval=5, alpha=0.5):
    """`inner` is one of PyTorch's optimizers; the slow weights start as the fast ones."""

    def run(names):
        params = {n: torch.nn.Parameter(torch.tensor(FIRST[n], dtype=torch.float64)) for n in names}
        slow = {n: p.detach().clone() for n, p in params.items()}
        optimizer = inner(list(params.values()))
        for step, gradients in enumerate(GRADIENTS, 1):
            for n, p in params.items():
                p.grad = torch.tensor(gradients[n], dtype=torch.float64)
            optimizer.step()
            if step % interval == 0:
                with torch.no_grad():
                    for n, p in params.items():
                        slow[n] += alpha * (p - slow[n])
                        p.copy_(slow[n])
            yield {n: p.detach().numpy().copy() for n, p in params.items()}

    return run


O = torch.optim
EPS = 1.1920929e-7
CASES = [
    ("sgd(lr = 0.05)", pytorch(lambda p: O.SGD(p, 0.05))),
    ("sgd(lr = 0.05, momentum = 0.9)", pytorch(lambda p: O.SGD(p, 0.05, momentum=0.9))),
    (
        "sgd(lr = 0.05, momentum = 0.8, dampening = 0.3, weight_decay = 0.1)",
        pytorch(lambda p: O.SGD(p, 0.05, momentum=0.8, dampening=0.3, weight_decay=0.1)),
    ),
    (
        "sgd(lr = 0.02, momentum = 0.9, nesterov = true)",
        pytorch(lambda p: O.SGD(p, 0.02, momentum=0.9, nesterov=True)),
    ),
    ("adam(lr = 1e-2)", pytorch(lambda p: O.Adam(p, 1e-2))),
    (
        "adam(lr = 1e-2, beta1 = 0.8, beta2 = 0.95, eps = 1e-3, weight_decay = 0.1)",
        pytorch(lambda p: O.Adam(p, 1e-2, (0.8, 0.95), 1e-3, 0.1)),
    ),
    ("adamw(lr = 1e-2)", pytorch(lambda p: O.AdamW(p, 1e-2))),
    ("adamw(lr = 1e-2, weight_decay = 0.3)", pytorch(lambda p: O.AdamW(p, 1e-2, weight_decay=0.3))),
    ("amsgrad(lr = 1e-2)", pytorch(lambda p: O.Adam(p, 1e-2, amsgrad=True))),
    (
        "amsgrad(lr = 1e-2, beta2 = 0.7, weight_decay = 0.1)",
        pytorch(lambda p: O.Adam(p, 1e-2, (0.9, 0.7), weight_decay=0.1, amsgrad=True)),
    ),
    ("nadam(lr = 2e-3)", pytorch(lambda p: O.NAdam(p))),
    (
        "nadam(lr = 1e-2, beta1 = 0.95, momentum_decay = 0.1, weight_decay = 0.1)",
        pytorch(lambda p: O.NAdam(p, 1e-2, (0.95, 0.999), weight_decay=0.1, momentum_decay=0.1)),
    ),
    ("radam(lr = 1e-2)", pytorch(lambda p: O.RAdam(p, 1e-2))),
    (
        "radam(lr = 1e-2, beta2 = 0.9, weight_decay = 0.1)",
        pytorch(lambda p: O.RAdam(p, 1e-2, (0.9, 0.9), weight_decay=0.1)),
    ),
    ("adamax(lr = 2e-3)", pytorch(lambda p: O.Adamax(p))),
    (
        "adamax(lr = 1e-2, beta1 = 0.8, beta2 = 0.9, weight_decay = 0.1)",
        pytorch(lambda p: O.Adamax(p, 1e-2, (0.8, 0.9), weight_decay=0.1)),
    ),
    ("rmsprop(lr = 1e-2)", pytorch(lambda p: O.RMSprop(p))),
    (
        "rmsprop(lr = 1e-2, rho = 0.9, eps = 1e-3, centered = true, momentum = 0.5, weight_decay = 0.1)",
        pytorch(lambda p: O.RMSprop(p, 1e-2, 0.9, 1e-3, 0.1, 0.5, True)),
    ),
    ("adagrad(lr = 1e-2)", pytorch(lambda p: O.Adagrad(p))),
    (
        "adagrad(lr = 0.1, rate_decay = 0.05, initial = 0.2, eps = 1e-3, weight_decay = 0.1)",
        pytorch(lambda p: O.Adagrad(p, 0.1, 0.05, 0.1, 0.2, 1e-3)),
    ),
    ("adadelta", pytorch(lambda p: O.Adadelta(p))),
    (
        "adadelta(lr = 0.5, rho = 0.8, eps = 1e-4, weight_decay = 0.1)",
        pytorch(lambda p: O.Adadelta(p, 0.5, 0.8, 1e-4, 0.1)),
    ),
    ("lamb(lr = 1e-2)", own(lamb(1e-2))),
    ("lamb(lr = 1e-2, beta1 = 0.8, eps = 1e-3, weight_decay = 0.2)", own(lamb(1e-2, 0.8, eps=1e-3, decay=0.2))),
    ("lars(lr = 1)", own(lars(1))),
    ("lars(lr = 1, momentum = 0.5, trust = 0.01, weight_decay = 0.1)", own(lars(1, 0.5, 0.01, decay=0.1))),
    ("lion(lr = 1e-3)", own(lion(1e-3))),
    ("lion(lr = 1e-2, beta1 = 0.8, beta2 = 0.9, weight_decay = 0.1)", own(lion(1e-2, 0.8, 0.9, 0.1))),
    ("sophia(lr = 1e-2)", own(sophia(1e-2))),
    (
        "sophia(lr = 1e-2, beta1 = 0.9, rho = 0.5, samples = 8, interval = 3, weight_decay = 0)",
        own(sophia(1e-2, 0.9, rho=0.5, samples=8, interval=3, decay=0)),
    ),
    ("adafactor(lr = 1e-2)", pytorch(lambda p: O.Adafactor(p, 1e-2, eps=(EPS, 1e-3)))),
    (
        "adafactor(lr = 0.3, decay = 0.5, least = 0.5, clip = 1.2, weight_decay = 0.1)",
        pytorch(lambda p: O.Adafactor(p, 0.3, -0.5, (EPS, 0.5), 1.2, 0.1)),
    ),
    ("muon(lr = 0.02)", own(muon(0.02)), MATRICES),
    (
        "muon(lr = 0.02, momentum = 0.8, nesterov = false, weight_decay = 0, steps = 3)",
        own(muon(0.02, 0.8, False, 0, 3)),
        MATRICES,
    ),
    ("lookahead(adamw(lr = 1e-2))", lookahead(lambda p: O.AdamW(p, 1e-2))),
    (
        "lookahead(sgd(lr = 0.05, momentum = 0.9), interval = 3, alpha = 0.8)",
        lookahead(lambda p: O.SGD(p, 0.05, momentum=0.9), 3, 0.8),
    ),
]


def main():
    tensors, cases = {}, []
    for at, (line, run, *names) in enumerate(CASES):
        names = names[0] if names else list(SHAPES)
        cases.append({"line": line, "params": names})
        for step, params in enumerate(run(names), 1):
            if step in KEPT:
                for n in names:
                    tensors[f"{at}.{step}.{n}"] = params[n].astype(np.float32)
    save_file(tensors, HERE / "after.safetensors")
    save_file({n: v for n, v in FIRST.items()}, HERE / "first.safetensors")
    # A batch of one sample for each step.
    batches = {f"{n}.{i}": g[n][None] for i, g in enumerate(GRADIENTS) for n in SHAPES}
    save_file(batches, HERE / "gradients.safetensors")
    (HERE / "cases.json").write_text(json.dumps({"steps": KEPT, "cases": cases}, indent=1) + "\n")


main()
