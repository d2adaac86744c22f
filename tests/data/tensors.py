"""Makes tensors.safetensors: twelve samples of eight ids, an id that is too great in one of them, and real numbers;
and batches.safetensors: two numbered batches of three samples.

    python tests/data/tensors.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

folder = pathlib.Path(__file__).parent
ids = (np.arange(12)[:, None] * 5 + np.arange(8)) % 11
targets = (ids + 1) % 11
targets[7, 3] = 29
reals = np.sin(np.arange(36.0)).reshape(12, 3).astype(np.float32)
tensors = {"inputs": ids.astype(np.int64), "targets": targets.astype(np.int64), "reals": reals}
save_file(tensors, folder / "tensors.safetensors")

batches = {f"reals.{n}": reals[3 * n : 3 * n + 3] for n in range(2)}
save_file(batches, folder / "batches.safetensors")
