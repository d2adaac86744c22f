"""Makes goldens.json: what PyTorch computes, in float64, for the definitions of the standard library that it has too.

Each case is a flow of a model in the language, its inputs and parameters (in our names and layouts), the value, and
the gradients of sum(value * weights), where the weights are given too. Numbers that go in are odd multiples of 1/128, so that
they are the same in every precision and functions are not met at their kinks.

    python tests/definitions/make.py          # writes goldens.json beside this file; needs PyTorch and NumPy
"""
import json
import math
import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
cases = []


class Numbers:
    """Draws that depend on the case's name alone."""

    def __init__(self, name):
        self.rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))

    def real(self, *shape, low=-1.5, high=1.5):
        drawn = self.rng.uniform(low, high, shape)
        return torch.tensor(np.floor(drawn * 64) / 64 + 1 / 128)

    def ids(self, bound, *shape):
        return torch.tensor(self.rng.integers(0, bound, shape))

    def condition(self, *shape):
        return torch.tensor(self.rng.random(shape) < 0.7)


def case(name, flow, inputs, params, function, loss=False, training=False, bounds=None):
    """`inputs` and `params` make tensors from Numbers; `function(i, p)` computes the value from both."""
    draw = Numbers(name)
    i = {k: make(draw) for k, make in inputs.items()}
    p = {k: make(draw) for k, make in params.items()}
    for tensor in [*i.values(), *p.values()]:
        if tensor.dtype == torch.float64:
            tensor.requires_grad_(True)
    value = function(i, p)
    weights = draw.real(*value.shape)
    wanted = {k: t for k, t in [*i.items(), *p.items()] if t.requires_grad}
    grads = torch.autograd.grad((value * weights).sum(), list(wanted.values()), allow_unused=True)
    bounds = bounds or {}

    def described(name, tensor):
        entry = {"shape": list(tensor.shape)}
        if tensor.dtype == torch.float64:
            entry["data"] = [round(v, 12) for v in tensor.detach().flatten().tolist()]
        else:
            entry["data"] = [int(v) for v in tensor.flatten().tolist()]
            entry["element"] = "condition" if tensor.dtype == torch.bool else bounds[name]
        return entry

    cases.append({
        "name": name, "flow": flow, "loss": loss, "training": training,
        "inputs": {k: described(k, t) for k, t in i.items()},
        "params": {k: described(k, t) for k, t in p.items()},
        "weights": described("weights", weights),
        "value": described("value", value),
        "gradients": {k: described(k, torch.zeros_like(t) if g is None else g)
                      for (k, t), g in zip(wanted.items(), grads)},
    })


def real(*shape, **range_):
    return lambda d: d.real(*shape, **range_)


def ids(bound, *shape):
    return lambda d: d.ids(bound, *shape)


def condition(*shape):
    return lambda d: d.condition(*shape)


# ------------------------------------------------------------------------------------------------ activations
def activation(name, flow, function, shape=(2, 3, 5), params=None):
    case(name, f"x -> {flow}", {"x": real(*shape, low=-4, high=4)}, params or {}, lambda i, p: function(i["x"]))


activation("relu", "relu", F.relu)
activation("leaky_relu", "leaky_relu(slope = 0.1)", lambda x: F.leaky_relu(x, 0.1))
activation("sigmoid", "sigmoid", torch.sigmoid)
activation("gelu", "gelu", F.gelu)
activation("gelu_tanh", "gelu_tanh", lambda x: F.gelu(x, approximate="tanh"))
activation("silu", "silu", F.silu)
activation("softplus", "softplus", F.softplus)
activation("elu", "elu(alpha = 0.7)", lambda x: F.elu(x, 0.7))
activation("selu", "selu", F.selu)
activation("mish", "mish", F.mish)
activation("hard_sigmoid", "hard_sigmoid", F.hardsigmoid)
activation("hard_swish", "hard_swish", F.hardswish)
activation("softmax", "softmax", lambda x: F.softmax(x, -1))
activation("log_softmax", "log_softmax", lambda x: F.log_softmax(x, -1))
activation("glu", "glu", lambda x: F.glu(x, -1), shape=(2, 3, 6))
case("prelu", "x -> prelu", {"x": real(2, 3, 5)}, {"net.prelu.slope": real()},
     lambda i, p: F.prelu(i["x"], p["net.prelu.slope"].reshape(1)))

activation("swish", "swish(beta = 1.5)", lambda x: x * torch.sigmoid(1.5 * x))
case("prelu of each", "x -> prelu(shared = false)", {"x": real(2, 3, 5, low=-4, high=4)}, {"net.prelu.slope": real(5)},
     lambda i, p: F.prelu(i["x"].flatten(0, 1), p["net.prelu.slope"]).reshape(2, 3, 5))

# ------------------------------------------------------------------------------------------------ linear, embeddings
case("linear", "x -> linear(4)", {"x": real(2, 3, 5)}, {"net.linear.w": real(5, 4), "net.linear.b": real(4)},
     lambda i, p: i["x"] @ p["net.linear.w"] + p["net.linear.b"])
case("weight_norm", "x -> linear(4, bias = false, weight = weight_norm)", {"x": real(3, 5)},
     {"net.linear.w": real(5, 4), "net.weight_norm.gain": real(4)},
     lambda i, p: i["x"] @ torch._weight_norm(p["net.linear.w"], p["net.weight_norm.gain"].reshape(1, 4), 1))
case("embedding", "x -> embedding(7, 3)", {"x": ids(7, 2, 4)}, {"net.embedding.table": real(7, 3)},
     lambda i, p: F.embedding(i["x"], p["net.embedding.table"]), bounds={"x": 7})


# ------------------------------------------------------------------------------------------------ convolutions, pooling
def image(function):
    """Channels last, as ours are."""
    return lambda x, *rest: function(x.permute(0, 3, 1, 2), *rest).permute(0, 2, 3, 1)


def kernel2d(w):
    return w.permute(3, 2, 0, 1)


W, B = "net.conv2d.w", "net.conv2d.b"
case("conv2d", "x -> conv2d(3, kernel = 3, bias = true)", {"x": real(2, 4, 5, 2)}, {W: real(3, 3, 2, 3), B: real(3)},
     lambda i, p: image(lambda x: F.conv2d(x, kernel2d(p[W]), p[B], padding=1))(i["x"]))
case("conv2d stride 2, dilation 2", "x -> conv2d(2, kernel = 3, stride = 2, dilation = 2, pad = 1)",
     {"x": real(2, 7, 6, 2)}, {W: real(3, 3, 2, 2)},
     lambda i, p: image(lambda x: F.conv2d(x, kernel2d(p[W]), stride=2, dilation=2, padding=1))(i["x"]))
case("conv2d even kernel", "x -> conv2d(2, kernel = 2, pad = 0)", {"x": real(2, 4, 3, 1)}, {W: real(2, 2, 1, 2)},
     lambda i, p: image(lambda x: F.conv2d(x, kernel2d(p[W])))(i["x"]))
G = "net.grouped_conv2d.w"
case("grouped_conv2d", "x -> grouped_conv2d(6, kernel = 3, groups = 2)", {"x": real(2, 4, 3, 4)},
     {G: real(3, 3, 2, 2, 3)},
     lambda i, p: image(lambda x: F.conv2d(x, p[G].permute(2, 4, 3, 0, 1).reshape(6, 2, 3, 3), padding=1, groups=2))(i["x"]))
D = "net.depthwise_conv2d.w"
case("depthwise_conv2d", "x -> depthwise_conv2d(kernel = 3, stride = 2)", {"x": real(2, 5, 4, 3)}, {D: real(3, 3, 3)},
     lambda i, p: image(lambda x: F.conv2d(x, p[D].permute(2, 0, 1).unsqueeze(1), padding=1, stride=2, groups=3))(i["x"]))
T = "net.conv_transpose2d.w"
case("conv_transpose2d", "x -> conv_transpose2d(2, kernel = 3, stride = 2, pad = 1, extra = 1)", {"x": real(2, 3, 2, 3)},
     {T: real(3, 3, 3, 2)},
     lambda i, p: image(lambda x: F.conv_transpose2d(x, p[T].permute(2, 3, 0, 1), stride=2, padding=1, output_padding=1))(i["x"]))
C1 = "net.conv1d.w"
case("conv1d", "x -> conv1d(3, kernel = 3, stride = 2)", {"x": real(2, 7, 2)}, {C1: real(3, 2, 3), "net.conv1d.b": real(3)},
     lambda i, p: F.conv1d(i["x"].transpose(1, 2), p[C1].permute(2, 1, 0), p["net.conv1d.b"], stride=2, padding=1).transpose(1, 2))
C2 = "net.grouped_conv1d.w"
case("grouped_conv1d", "x -> grouped_conv1d(6, kernel = 3, groups = 2, dilation = 2)", {"x": real(2, 7, 4)},
     {C2: real(3, 2, 2, 3), "net.grouped_conv1d.b": real(6)},
     lambda i, p: F.conv1d(i["x"].transpose(1, 2), p[C2].permute(1, 3, 2, 0).reshape(6, 2, 3), p["net.grouped_conv1d.b"],
                           padding=2, dilation=2, groups=2).transpose(1, 2))
C3 = "net.conv_transpose1d.w"
case("conv_transpose1d", "x -> conv_transpose1d(2, kernel = 3, stride = 2, pad = 1, extra = 1)", {"x": real(2, 4, 3)},
     {C3: real(3, 3, 2), "net.conv_transpose1d.b": real(2)},
     lambda i, p: F.conv_transpose1d(i["x"].transpose(1, 2), p[C3].permute(1, 2, 0), p["net.conv_transpose1d.b"], stride=2,
                                     padding=1, output_padding=1).transpose(1, 2))
case("max_pool", "x -> max_pool(3, stride = 2, pad = 1)", {"x": real(2, 5, 6, 2)}, {},
     lambda i, p: image(lambda x: F.max_pool2d(x, 3, 2, 1))(i["x"]))
case("average_pool", "x -> average_pool(3, stride = 2, pad = 1)", {"x": real(2, 5, 6, 2)}, {},
     lambda i, p: image(lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))(i["x"]))
case("max_pool1d", "x -> max_pool1d(2)", {"x": real(2, 6, 3)}, {},
     lambda i, p: F.max_pool1d(i["x"].transpose(1, 2), 2).transpose(1, 2))
case("average_pool1d", "x -> average_pool1d(3, stride = 2)", {"x": real(2, 7, 3)}, {},
     lambda i, p: F.avg_pool1d(i["x"].transpose(1, 2), 3, 2).transpose(1, 2))
case("squeeze", "x -> squeeze", {"x": real(2, 3, 1)}, {}, lambda i, p: i["x"].squeeze(-1))
case("global_average_pool", "x -> global_average_pool", {"x": real(2, 3, 4, 2)}, {}, lambda i, p: i["x"].mean((1, 2)))
case("global_max_pool", "x -> global_max_pool", {"x": real(2, 3, 4, 2)}, {}, lambda i, p: F.adaptive_max_pool2d(i["x"].permute(0, 3, 1, 2), 1)[:, :, 0, 0])
case("upsample", "x -> upsample(3)", {"x": real(2, 2, 3, 2)}, {},
     lambda i, p: image(lambda x: F.interpolate(x, scale_factor=3, mode="nearest"))(i["x"]))

case("adaptive_average_pool", "x -> adaptive_average_pool(3, 2)", {"x": real(2, 5, 3, 2)}, {},
     lambda i, p: image(lambda x: F.adaptive_avg_pool2d(x, (3, 2)))(i["x"]))
case("adaptive_max_pool", "x -> adaptive_max_pool(2)", {"x": real(2, 5, 3, 2)}, {},
     lambda i, p: image(lambda x: F.adaptive_max_pool2d(x, 2))(i["x"]))
case("resize", "x -> resize(5, 2)", {"x": real(2, 3, 4, 2)}, {},
     lambda i, p: image(lambda x: F.interpolate(x, size=(5, 2), mode="bilinear", align_corners=False))(i["x"]))

# ------------------------------------------------------------------------------------------------ norms
N = {"net.layer_norm.scale": real(5), "net.layer_norm.b": real(5)}
case("layer_norm", "x -> layer_norm", {"x": real(2, 3, 5)}, N,
     lambda i, p: F.layer_norm(i["x"], (5,), p["net.layer_norm.scale"], p["net.layer_norm.b"]))
case("rms_norm", "x -> rms_norm", {"x": real(2, 3, 5)}, {"net.rms_norm.scale": real(5)},
     lambda i, p: F.rms_norm(i["x"], (5,), p["net.rms_norm.scale"], 1e-6))
case("group_norm", "x -> group_norm(2)", {"x": real(2, 3, 2, 6)}, {"net.group_norm.scale": real(6), "net.group_norm.b": real(6)},
     lambda i, p: image(lambda x: F.group_norm(x, 2, p["net.group_norm.scale"], p["net.group_norm.b"]))(i["x"]))
case("instance_norm", "x -> instance_norm", {"x": real(2, 3, 4, 2)}, {}, lambda i, p: image(F.instance_norm)(i["x"]))
BN = {"net.batch_norm.scale": real(3), "net.batch_norm.b": real(3)}
case("batch_norm training", "x -> batch_norm", {"x": real(4, 3, 2, 3)}, BN, training=True,
     function=lambda i, p: image(lambda x: F.batch_norm(x, None, None, p["net.batch_norm.scale"], p["net.batch_norm.b"], True))(i["x"]))

# ------------------------------------------------------------------------------------------------ attention, recurrence
A = "net.attention"


def attention_params(width, inner, groups_inner, value_inner, memory=None, bias=True):
    memory = memory or width
    shapes = {"q": (width, inner), "k": (memory, groups_inner), "v": (memory, value_inner), "out": (value_inner if groups_inner == inner else inner, width)}
    params = {}
    for part, (a, b) in shapes.items():
        params[f"{A}.{part}.w"] = real(a, b, low=-0.8, high=0.8)
        if bias:
            params[f"{A}.{part}.b"] = real(b)
    return params


def attend(x, memory, p, heads, groups, keep=None, turn=lambda z: z, change=lambda s: s):
    def projected(z, part):
        y = z @ p[f"{A}.{part}.w"]
        return y + p[f"{A}.{part}.b"] if f"{A}.{part}.b" in p else y

    def split(z, count):
        return z.reshape(z.shape[0], z.shape[1], count, -1).transpose(1, 2)

    q, k, v = turn(split(projected(x, "q"), heads)), turn(split(projected(memory, "k"), groups)), split(projected(memory, "v"), groups)
    k, v = (z.repeat_interleave(heads // groups, 1) for z in (k, v))
    score = change(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5)
    if keep is not None:
        score = score.masked_fill(~keep, -torch.inf)
    y = torch.softmax(score, -1) @ v
    return projected(y.transpose(1, 2).flatten(2), "out")


def earlier(t, s=None):
    return torch.ones(t, s or t).tril().bool()


case("attention causal", "x -> attention(2, causal = true)", {"x": real(2, 4, 6)}, attention_params(6, 6, 6, 6),
     lambda i, p: attend(i["x"], i["x"], p, 2, 2, earlier(4)))
case("attention grouped, windowed", "x -> attention(4, groups = 2, causal = true, window = 2, bias = false)",
     {"x": real(2, 5, 8)}, attention_params(8, 8, 4, 4, bias=False),
     lambda i, p: attend(i["x"], i["x"], p, 4, 2, earlier(5) & ~torch.ones(5, 5).tril(-2).bool()))
case("attention masked", "x -> attention(2, mask = m)", {"x": real(2, 4, 6), "m": lambda d: torch.tensor([[True, True, False, True], [True, False, False, False]])},
     attention_params(6, 6, 6, 6), lambda i, p: attend(i["x"], i["x"], p, 2, 2, i["m"][:, None, None, :]))
case("attention cross, other sizes", "x -> attention(2, memory = z, size = 4, value_size = 3)",
     {"x": real(2, 3, 6), "z": real(2, 5, 4)},
     {**attention_params(6, 8, 8, 6, memory=4), f"{A}.out.w": real(6, 6), f"{A}.out.b": real(6)},
     lambda i, p: attend(i["x"], i["z"], p, 2, 2))


def rotated(x, base=10000.0, part=None):
    size = x.shape[-1]
    part = part or size
    half = part // 2
    angle = torch.arange(x.shape[-2]).double()[:, None] * base ** (-2 * torch.arange(half).double() / part)
    c, s = angle.cos(), angle.sin()
    a, b, rest = x[..., :half], x[..., half:part], x[..., part:]
    return torch.cat([a * c - b * s, b * c + a * s, rest], -1)


case("rotary", "x -> rotary", {"x": real(2, 3, 4, 6)}, {}, lambda i, p: rotated(i["x"]))
case("rotary in part", "x -> rotary(base = 100, part = 4)", {"x": real(2, 3, 4, 6)}, {}, lambda i, p: rotated(i["x"], 100.0, 4))
case("attention rotary", "x -> attention(2, causal = true, rotate = rotary)", {"x": real(2, 4, 8)}, attention_params(8, 8, 8, 8),
     lambda i, p: attend(i["x"], i["x"], p, 2, 2, earlier(4), turn=rotated))


def sines(t, c, base=10000.0):
    k = torch.arange(c)
    angle = torch.arange(t).double()[:, None] / base ** ((k - k % 2).double() / c)
    return torch.where(k % 2 == 0, angle.sin(), angle.cos())


case("sinusoidal", "x -> sinusoidal", {"x": real(2, 5, 6)}, {}, lambda i, p: i["x"] + sines(5, 6))
case("alibi", "x -> attention(4, causal = true, position = alibi)", {"x": real(2, 4, 8)}, attention_params(8, 8, 8, 8),
     lambda i, p: attend(i["x"], i["x"], p, 4, 4, earlier(4), change=lambda s: s - torch.tensor([2.0 ** (-2 * (h + 1)) for h in range(4)])[:, None, None]
                         * (torch.arange(4)[:, None] - torch.arange(4)).abs()))



def bucket(query, key, buckets, longest, causal):
    """Of the distance from a query to a key, as T5's appendix and its program tell it, one pair at a time."""
    ahead, first = key - query, 0
    if causal:
        far = max(-ahead, 0)
    else:
        buckets //= 2
        first, far = (buckets if ahead > 0 else 0), abs(ahead)
    exact = buckets // 2
    if far < exact:
        return first + far
    return first + min(exact + int(math.log(far / exact) / math.log(longest / exact) * (buckets - exact)), buckets - 1)


def biased(table, buckets, longest, causal=False):
    def change(score):
        t, s = score.shape[-2:]
        chosen = torch.tensor([[bucket(q, k, buckets, longest, causal) for k in range(s)] for q in range(t)])
        return score + table[chosen].permute(2, 0, 1)
    return change


RB = "net.relative_bias.table"
case("relative_bias", "x -> relative_bias(buckets = 8, longest = 12)", {"x": real(2, 3, 11, 13)}, {RB: real(8, 3)},
     lambda i, p: biased(p[RB], 8, 12)(i["x"]))
case("relative_bias causal", "x -> relative_bias(buckets = 6, longest = 10, causal = true)", {"x": real(2, 2, 12, 12)}, {RB: real(6, 2)},
     lambda i, p: biased(p[RB], 6, 10, True)(i["x"]))
case("attention unscaled", "x -> attention(2, scale = 1, bias = false)", {"x": real(2, 4, 6)}, attention_params(6, 6, 6, 6, bias=False),
     lambda i, p: attend(i["x"], i["x"], p, 2, 2, change=lambda s: s * 3 ** 0.5))

R = "net.lstm"


def recurrent(module, gates, name, i, p, reverse=False):
    size = p[f"{name}.u"].shape[0]
    weights = {"weight_ih_l0": p[f"{name}.w"].flatten(1).T, "weight_hh_l0": p[f"{name}.u"].flatten(1).T,
               "bias_ih_l0": p[f"{name}.b"].flatten(), "bias_hh_l0": p[f"{name}.d"].flatten()}
    x = i["x"].flip(1) if reverse else i["x"]
    y = torch.func.functional_call(module(x.shape[-1], size, batch_first=True), weights, (x,))[0]
    return y.flip(1) if reverse else y


def recurrent_params(name, gates, inp, size):
    g = (gates,) if gates else ()
    return {f"{name}.w": real(inp, *g, size), f"{name}.u": real(size, *g, size), f"{name}.b": real(*g, size), f"{name}.d": real(*g, size)}


case("lstm", "x -> lstm(3)", {"x": real(2, 5, 4)}, recurrent_params(R, 4, 4, 3), lambda i, p: recurrent(torch.nn.LSTM, 4, R, i, p))
case("lstm backwards", "x -> lstm(3, backwards = true)", {"x": real(2, 5, 4)}, recurrent_params(R, 4, 4, 3),
     lambda i, p: recurrent(torch.nn.LSTM, 4, R, i, p, True))
case("gru", "x -> gru(3)", {"x": real(2, 5, 4)}, recurrent_params("net.gru", 3, 4, 3), lambda i, p: recurrent(torch.nn.GRU, 3, "net.gru", i, p))
case("rnn", "x -> rnn(3)", {"x": real(2, 5, 4)}, recurrent_params("net.rnn", 0, 4, 3), lambda i, p: recurrent(torch.nn.RNN, 1, "net.rnn", i, p))

# ------------------------------------------------------------------------------------------------ losses
def loss(name, call, inputs, function, bounds=None):
    case(name, call, inputs, {}, lambda i, p: function(i), loss=True, bounds=bounds)


K = {"x": real(6, 5, low=-3, high=3), "y": ids(5, 6)}
loss("cross_entropy", "cross_entropy(y)", K, lambda i: F.cross_entropy(i["x"], i["y"]), {"y": 5})
loss("cross_entropy of a sequence", "cross_entropy(y, counted = m)", {"x": real(2, 3, 5), "y": ids(5, 2, 3), "m": condition(2, 3)},
     lambda i: F.cross_entropy(i["x"][i["m"]], i["y"][i["m"]]), {"y": 5})
loss("cross_entropy with temperature", "cross_entropy(y, temperature = 2.5)", K, lambda i: F.cross_entropy(i["x"] / 2.5, i["y"]), {"y": 5})
loss("cross_entropy smoothed", "cross_entropy(y, smoothing = 0.1)", K, lambda i: F.cross_entropy(i["x"], i["y"], label_smoothing=0.1), {"y": 5})
loss("nll", "log_softmax -> nll(y)", K, lambda i: F.nll_loss(F.log_softmax(i["x"], -1), i["y"]), {"y": 5})
loss("binary_cross_entropy", "binary_cross_entropy(y)", {"x": real(6, 2, low=-3, high=3), "y": ids(2, 6, 2)},
     lambda i: F.binary_cross_entropy_with_logits(i["x"], i["y"].double()), {"y": 2})
loss("binary_cross_entropy weighted", "binary_cross_entropy(y, weight = 3)", {"x": real(6, low=-3, high=3), "y": ids(2, 6)},
     lambda i: F.binary_cross_entropy_with_logits(i["x"], i["y"].double(), pos_weight=torch.tensor(3.0)), {"y": 2})


def focal(x, y, gamma):
    logp = F.log_softmax(x, -1).gather(-1, y[:, None])[:, 0]
    return (-(1 - logp.exp()) ** gamma * logp).mean()


def focal_binary(x, y, gamma=2, alpha=0.25):
    y = y.double()
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    pt = p * y + (1 - p) * (1 - y)
    return ((alpha * y + (1 - alpha) * (1 - y)) * (1 - pt) ** gamma * ce).mean()


loss("focal", "focal(y, gamma = 1.5)", K, lambda i: focal(i["x"], i["y"], 1.5), {"y": 5})
loss("focal_binary", "focal_binary(y)", {"x": real(7, low=-3, high=3), "y": ids(2, 7)}, lambda i: focal_binary(i["x"], i["y"]), {"y": 2})
XY = {"x": real(4, 3), "y": real(4, 3)}
loss("mse", "mse(y)", XY, lambda i: F.mse_loss(i["x"], i["y"]))
loss("mae", "mae(y)", XY, lambda i: F.l1_loss(i["x"], i["y"]))
loss("huber", "huber(y, delta = 0.7)", XY, lambda i: F.huber_loss(i["x"], i["y"], delta=0.7))
loss("smooth_l1", "smooth_l1(y, beta = 0.7)", XY, lambda i: F.smooth_l1_loss(i["x"], i["y"], beta=0.7))
loss("hinge", "hinge(y, margin = 0.8)", K, lambda i: F.multi_margin_loss(i["x"], i["y"], margin=0.8), {"y": 5})
loss("kl_divergence", "log_softmax -> kl_divergence(y)", {"x": real(4, 3), "y": lambda d: torch.tensor([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.5, 0.375, 0.125], [0.25, 0.25, 0.5]])},
     lambda i: F.kl_div(F.log_softmax(i["x"], -1), i["y"], reduction="batchmean"))
loss("kl_normal", "kl_normal(y)", XY, lambda i: 0.5 * (i["x"] ** 2 + i["y"].exp() - 1 - i["y"]).sum(-1).mean())
loss("poisson_nll", "poisson_nll(y)", {"x": real(6), "y": ids(9, 6)}, lambda i: F.poisson_nll_loss(i["x"], i["y"].double()), {"y": 9})
loss("triplet", "triplet(y, z, margin = 1.5)", {"x": real(4, 3), "y": real(4, 3), "z": real(4, 3)},
     lambda i: F.triplet_margin_loss(i["x"], i["y"], i["z"], margin=1.5))
loss("info_nce", "info_nce(y, temperature = 0.5)", {"x": real(4, 3), "y": real(4, 3)},
     lambda i: F.cross_entropy(F.normalize(i["x"], dim=-1) @ F.normalize(i["y"], dim=-1).T / 0.5, torch.arange(4)))

loss("hinge_binary", "hinge_binary(y, margin = 0.8)", {"x": real(7, low=-3, high=3), "y": ids(2, 7)},
     lambda i: (0.8 - (2 * i["y"].double() - 1) * i["x"]).clamp(min=0).mean(), {"y": 2})
loss("contrastive", "contrastive(y, z, margin = 2)", {"x": real(6, 3), "y": real(6, 3), "z": ids(2, 6)},
     lambda i: torch.where(i["z"] == 1, (i["x"] - i["y"]).square().sum(-1),
                           (2 - (i["x"] - i["y"]).norm(dim=-1)).clamp(min=0).square()).mean(), {"z": 2})
WEIGHTED = {"x": real(4, 3), "y": real(4, 3), "w": real(4, 3, low=0.1)}
loss("mse weighted", "mse(y, sample_weight = w)", WEIGHTED, lambda i: (i["w"] * (i["x"] - i["y"]) ** 2).mean())
loss("mae weighted", "mae(y, sample_weight = w)", WEIGHTED, lambda i: (i["w"] * (i["x"] - i["y"]).abs()).mean())
loss("huber weighted", "huber(y, sample_weight = w)", WEIGHTED,
     lambda i: (i["w"] * F.huber_loss(i["x"], i["y"], reduction="none")).mean())
loss("cross_entropy weighted", "cross_entropy(y, sample_weight = w)", {**K, "w": real(6, low=0.1)},
     lambda i: (i["w"] * F.cross_entropy(i["x"], i["y"], reduction="none")).mean(), {"y": 5})
loss("binary_cross_entropy of weighted samples", "binary_cross_entropy(y, sample_weight = w)",
     {"x": real(6, low=-3, high=3), "y": ids(2, 6), "w": real(6, low=0.1)},
      lambda i: (i["w"] * F.binary_cross_entropy_with_logits(i["x"], i["y"].double(), reduction="none")).mean(), {"y": 2})


def ctc(i, blank, steps, lengths):
    logp = F.log_softmax(i["x"], -1).transpose(0, 1)
    return F.ctc_loss(logp, i["y"], torch.tensor(steps), torch.tensor(lengths), blank=blank)


def until(*lengths, longest):
    return lambda d: torch.tensor([[at < length for at in range(longest)] for length in lengths])


SPOKEN = lambda d: torch.tensor([[1, 1, 2], [3, 2, 3], [2, 4, 1]])
loss("ctc", "ctc(y)", {"x": real(3, 7, 5, low=-3, high=3), "y": SPOKEN}, lambda i: ctc(i, 0, [7, 7, 7], [3, 3, 3]), {"y": 5})
loss("ctc of padded sequences", "ctc(y, mask = m, target_mask = n, blank = 4)",
     {"x": real(3, 7, 5, low=-3, high=3), "y": lambda d: torch.tensor([[1, 1, 0], [3, 2, 3], [2, 0, 0]]),
      "m": until(5, 7, 3, longest=7), "n": until(2, 3, 1, longest=3)},
     lambda i: ctc(i, 4, [5, 7, 3], [2, 3, 1]), {"y": 5})

path = pathlib.Path(__file__).with_name("goldens.json")
path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
