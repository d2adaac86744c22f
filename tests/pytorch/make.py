"""Makes the golden files beside it: tiny models trained by PyTorch in float64, from weights and batches that are
stored as float32. Run in this folder, with torch, numpy and safetensors installed:

    python make.py

For each model NAME: NAME.weights.safetensors (PyTorch's names and layouts), NAME.batches.safetensors (`inputs.0`,
`targets.0`, ...) and NAME.json (the loss of each step before its update, gradient norms at step 1 before clipping,
parameter norms after the last step)."""
import json
import math

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

STEPS = 10


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        # No biases: the softmax cancels the key's, and Adam would make steps of the rounding noise in its gradient.
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = (part.view(batch, time, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, dim=2))
        scores = q @ k.transpose(2, 3) / math.sqrt(width // self.heads)
        later = torch.ones(time, time, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -math.inf).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """A language model with a head tied to its embedding."""

    def __init__(self, vocab=11, width=16, heads=2, depth=2, time=8):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(time, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T


def mlp():
    return nn.Sequential(nn.Linear(12, 19), nn.ReLU(), nn.Linear(19, 7), nn.ReLU(), nn.Linear(7, 3))


def text_batch(rng):
    starts = rng.integers(0, 11, (3, 1))
    ids = (starts + rng.integers(1, 3, (3, 1)) * np.arange(9)) % 11
    return ids[:, :-1].astype(np.int32), ids[:, 1:].astype(np.int32)


def table_batch(rng):
    labels = rng.integers(0, 3, 5)
    return (rng.standard_normal((5, 12)) + labels[:, None]).astype(np.float32), labels.astype(np.int32)


def adamw(model):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.99))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)


def record(name, model, batch, optimizer_of, clip):
    rng = np.random.default_rng(7)
    weights = {n: p.detach().float().numpy() for n, p in model.named_parameters()}
    model.double()
    batches = [batch(rng) for _ in range(STEPS)]
    optimizer = optimizer_of(model)
    losses, gradients = [], {}
    for inputs, targets in batches:
        inputs = torch.from_numpy(inputs)
        logits = model(inputs.double() if inputs.is_floating_point() else inputs.long())
        loss = F.cross_entropy(logits.flatten(0, -2), torch.from_numpy(targets).long().flatten())
        optimizer.zero_grad()
        loss.backward()
        if not gradients:
            gradients = {n: p.grad.norm().item() for n, p in model.named_parameters()}
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    norms = {n: p.detach().norm().item() for n, p in model.named_parameters()}
    save_file(weights, f"{name}.weights.safetensors")
    tensors = {f"{kind}.{i}": np.ascontiguousarray(a) for i, pair in enumerate(batches) for kind, a in zip(("inputs", "targets"), pair)}
    save_file(tensors, f"{name}.batches.safetensors")
    with open(f"{name}.json", "w") as file:
        json.dump({"losses": losses, "grad_norms": gradients, "param_norms": norms}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    torch.manual_seed(1)
    record("gpt", Gpt(), text_batch, adamw, 1.0)
    record("mlp", mlp(), table_batch, sgd, None)
