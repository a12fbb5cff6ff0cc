"""Trains the deep network on the digits of the example `digits` and writes deep.onnx.

    python train.py            writes deep.onnx
    python train.py --out DIR  writes it elsewhere

It needs the packages of ../digits/requirements.txt. Everything is seeded and runs on one thread, so one machine gives
the same bytes every time.
"""

import argparse
import os
import sys
from pathlib import Path

# Sums change with the number of BLAS threads, and the file must not. Read when numpy is first imported.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "digits"))
from train import SEED, augment, load_split  # the other example's: the same images in the same split

LAYERS = 30
WIDTH = 24
CENTRE = 0.44  # of the values that are squared: around it a square is nearly linear, (c + z)^2 = c^2 + 2cz + z^2
REACH = 0.18  # how far values may lie from the centre
SHARPNESS = 12.0  # of the softmax over the last squares
EPOCHS = 60
BATCH = 32
LEARNING_RATE = 4e-4
CLIP = 1.0  # largest norm of a layer's gradient
PENALTY = 20.0


def orthogonal(rng, rows, columns):
    q, _ = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    return q if rows >= columns else q.T


def initial_weights(rng):
    """Layers that turn z = value - CENTRE, and do no more: 1/(2c) undoes the slope of the square."""
    sizes = [64] + [WIDTH] * (LAYERS - 1) + [10]
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        first = i == 0
        weight = orthogonal(rng, outputs, inputs) * (0.1 if first else 1 / (2 * CENTRE))
        mean = np.full(inputs, 0.3 if first else CENTRE**2)
        layers.append([weight, CENTRE - weight @ mean])
    return layers


def forward(layers, x):
    """The values before each square; the last squares are the scores."""
    values, s = [], x
    for weight, bias in layers:
        values.append(s @ weight.T + bias)
        s = values[-1] ** 2
    return values


def gradients(layers, x, labels):
    """Of the mean cross-entropy of the sharpened scores, and of a penalty on values out of reach."""
    values = forward(layers, x)
    logits = SHARPNESS * values[-1] ** 2
    exp = np.exp(logits - logits.max(1, keepdims=True))
    grad = exp / exp.sum(1, keepdims=True)
    grad[np.arange(len(x)), labels] -= 1
    grad *= SHARPNESS / len(x)
    out = []
    for i in range(len(layers))[::-1]:
        z = values[i] - CENTRE
        reach = 2.5 * REACH if i + 1 == len(layers) else REACH
        excess = np.sign(z) * np.maximum(np.abs(z) - 0.8 * reach, 0)
        grad = grad * 2 * values[i] + PENALTY * excess / len(x)
        s = values[i - 1] ** 2 if i > 0 else x
        out.append([grad.T @ s, grad.sum(0)])
        grad = grad @ layers[i][0]
    return out[::-1]


def train(images, labels, rng):
    """Adam with a cosine learning rate that ends at zero."""
    layers = initial_weights(rng)
    mean = [[np.zeros_like(p) for p in layer] for layer in layers]
    square = [[np.zeros_like(p) for p in layer] for layer in layers]
    batches = len(images) // BATCH
    for step in range(EPOCHS * batches):
        if step % batches == 0:
            order = rng.permutation(len(images))
        chosen = order[step % batches * BATCH :][:BATCH]
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / (EPOCHS * batches)))
        x = augment(images[chosen], rng).reshape(len(chosen), -1).astype(np.float64)
        for i, grads in enumerate(gradients(layers, x, labels[chosen])):
            norm = np.sqrt(sum((g**2).sum() for g in grads))
            for k, g in enumerate(grads):
                g = g * min(1.0, CLIP / (norm + 1e-12))
                mean[i][k] += 0.1 * (g - mean[i][k])
                square[i][k] += 0.001 * (g * g - square[i][k])
                m, v = mean[i][k] / (1 - 0.9 ** (step + 1)), square[i][k] / (1 - 0.999 ** (step + 1))
                layers[i][k] -= rate * m / (np.sqrt(v) + 1e-8)
    return layers


def onnx_model(layers):
    nodes = [helper.make_node("Flatten", ["image"], ["s0"], "flatten", axis=1)]
    weights = []
    for i, (weight, bias) in enumerate(layers, 1):
        names = [f"fc{i}.weight", f"fc{i}.bias"]
        weights += [numpy_helper.from_array(p.astype(np.float32), n) for p, n in zip((weight, bias), names)]
        output = "scores" if i == len(layers) else f"s{i}"
        nodes.append(helper.make_node("Gemm", [f"s{i - 1}", *names], [f"h{i}"], f"fc{i}", transB=1))
        nodes.append(helper.make_node("Mul", [f"h{i}", f"h{i}"], [output], f"square{i}"))
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="deep")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    out = parser.parse_args().out
    rng = np.random.default_rng(SEED)
    train_images, train_labels, held_out, held_out_labels = load_split(rng)
    layers = train(train_images, train_labels, rng)
    onnx.save(onnx_model(layers), out / "deep.onnx")

    flat = held_out.reshape(len(held_out), -1).astype(np.float64)
    values = forward(layers, flat)
    scores = values[-1] ** 2
    session = onnxruntime.InferenceSession(out / "deep.onnx", providers=["CPUExecutionProvider"])
    found = np.concatenate([session.run(None, {"image": image[None]})[0] for image in held_out])
    if not (difference := np.abs(found - scores).max()) < 1e-4:
        raise SystemExit(f"onnxruntime and numpy differ by {difference}")
    inner = np.concatenate([v.ravel() for v in values[:-1]])
    print(f"held-out digits   {(scores.argmax(1) == held_out_labels).sum()} of {len(held_out)} right")
    print(f"onnxruntime       differs by {difference:.1e}, scores in {scores.min():.3f}..{scores.max():.3f}")
    print(f"before squares    {inner.min():.3f}..{inner.max():.3f}")
    step = 1e-6
    for layer in (0, 9, 19):
        moved = values[layer] + step * np.sign(np.random.default_rng(layer).standard_normal(values[layer].shape))
        for weight, bias in layers[layer + 1 :]:
            moved = moved**2 @ weight.T + bias
        gain = np.sqrt(np.mean((moved**2 - scores) ** 2)) / step
        print(f"a small change after fc{layer + 1} grows by {gain:.2f} (rms) to the scores")


if __name__ == "__main__":
    main()
