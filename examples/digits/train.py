"""Trains the digits network and writes the files of this folder.

    python train.py            writes digits.onnx, test_images.npy, test_labels.npy, calibration.npy
    python train.py --out DIR  writes them elsewhere

Everything is seeded and runs on one thread, so one machine gives the same bytes every time.
"""

import argparse
import os
from pathlib import Path

# Sums change with the number of BLAS threads, and the files must not. Read when numpy is first imported.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

SEED = 20240229
TEST_PER_DIGIT = 40  # held out from training: 400 images
BUNDLED_PER_DIGIT = 10  # of those, in test_images.npy: 100 images
CALIBRATION_IMAGES = 500
EPOCHS = 160
BATCH = 32
LEARNING_RATE = 8e-3
WEIGHT_DECAY = 0.05
INPUT_NOISE = 0.05
SQUARE_SHARE = 0.25  # of the batches, that are trained with each ReLU replaced by a polynomial of degree 2
CHANNELS = (8, 16)


# ---- data ------------------------------------------------------------------------------------------------------------


def load_split(rng):
    """Train and test images [n,1,8,8] in 0..1 with labels; the test set holds TEST_PER_DIGIT of each digit."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    order = rng.permutation(len(labels))
    images, labels = images[order], labels[order]
    test = first_of_each_digit(labels, TEST_PER_DIGIT)
    return images[~test], labels[~test], images[test], labels[test]


def first_of_each_digit(labels, count):
    """Mask of the first `count` positions of each digit."""
    mask = np.zeros(len(labels), bool)
    for digit in range(10):
        mask[np.flatnonzero(labels == digit)[:count]] = True
    return mask


def augment(images, rng):
    """Moves each image by -1, 0 or 1 pixels (0 mostly) in each direction, and adds noise."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = rng.choice(3, size=(len(images), 2), p=[0.1, 0.8, 0.1])
    moved = np.stack([image[:, dy : dy + 8, dx : dx + 8] for image, (dy, dx) in zip(padded, shifts)])
    return moved + INPUT_NOISE * rng.standard_normal(moved.shape, dtype=np.float32)


# ---- layers: each forward has the backward below it ------------------------------------------------------------------


def patches(x):
    """[n,c,h,w] to [n,h,w,9c]: the 3x3 neighbourhood of each pixel, zeros outside."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, 9 * c)


def conv(x, weight, bias):
    return (patches(x) @ weight.reshape(len(weight), -1).T + bias).transpose(0, 3, 1, 2)


def conv_backward(x, weight, grad):
    """Gradients of the input, the weight and the bias."""
    flat = grad.transpose(0, 2, 3, 1).reshape(-1, len(weight))
    grad_weight = (flat.T @ patches(x).reshape(len(flat), -1)).reshape(weight.shape)
    reversed_weight = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    grad_input = conv(grad, reversed_weight, np.zeros(weight.shape[1], np.float32))
    return grad_input, grad_weight, flat.sum(0)


def pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def pool_backward(grad):
    return grad.repeat(2, 2).repeat(2, 3) / 4


# ---- activations: the value and its derivative -----------------------------------------------------------------------


def relu(z):
    return np.maximum(z, 0), z > 0


def polynomial(coefficients, centre, width):
    """One polynomial per channel, in (z - centre) / width; coefficients [channels, degree + 1], lowest first."""

    def apply(z):
        u = (z - centre) / width
        value, slope = np.zeros_like(u), np.zeros_like(u)
        for c in coefficients.T[::-1, :, None, None]:
            value, slope = value * u + c, slope * u + value
        return value, slope / width

    return apply


def polynomial_relu(z, degree):
    """The polynomial per channel that is closest to ReLU, in the mean square, on the pre-activations z [n,c,h,w]."""
    centre = z.mean((0, 2, 3), keepdims=True)[0]
    width = z.std((0, 2, 3), keepdims=True)[0] + np.float32(1e-6)

    def by_channel(v):
        return v.swapaxes(0, 1).reshape(z.shape[1], -1).astype(np.float64)

    u, target = by_channel((z - centre) / width), by_channel(relu(z)[0])
    powers = u[..., None] ** np.arange(degree + 1)
    normal = powers.swapaxes(1, 2) @ powers
    moments = powers.swapaxes(1, 2) @ target[..., None]
    return polynomial(np.linalg.solve(normal, moments)[..., 0].astype(z.dtype), centre, width)


# ---- the network -----------------------------------------------------------------------------------------------------


def initial_weights(rng):
    def he(*shape):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))

    c1, c2 = CHANNELS
    return {
        "conv1.weight": he(c1, 1, 3, 3),
        "conv1.bias": np.zeros(c1, np.float32),
        "conv2.weight": he(c2, c1, 3, 3),
        "conv2.bias": np.zeros(c2, np.float32),
        "fc.weight": he(10, 4 * c2),
        "fc.bias": np.zeros(10, np.float32),
    }


def forward(w, x, activations=(relu, relu)):
    """The logits, and the tensors the backward pass needs."""
    z1 = conv(x, w["conv1.weight"], w["conv1.bias"])
    a1, slope1 = activations[0](z1)
    p1 = pool(a1)
    z2 = conv(p1, w["conv2.weight"], w["conv2.bias"])
    a2, slope2 = activations[1](z2)
    features = pool(a2).reshape(len(x), -1)
    return features @ w["fc.weight"].T + w["fc.bias"], (slope1, p1, slope2, features)


def gradients(w, x, labels, activation):
    """Gradient of the mean cross-entropy in every weight."""
    logits, (slope1, p1, slope2, features) = forward(w, x, (activation, activation))
    exp = np.exp(logits - logits.max(1, keepdims=True))
    grad = exp / exp.sum(1, keepdims=True)
    grad[np.arange(len(x)), labels] -= 1
    grad /= np.float32(len(x))
    g = {"fc.weight": grad.T @ features, "fc.bias": grad.sum(0)}
    grad = pool_backward((grad @ w["fc.weight"]).reshape(len(x), -1, 2, 2)) * slope2
    grad, g["conv2.weight"], g["conv2.bias"] = conv_backward(p1, w["conv2.weight"], grad)
    grad = pool_backward(grad) * slope1
    _, g["conv1.weight"], g["conv1.bias"] = conv_backward(x, w["conv1.weight"], grad)
    return g


def square_on_batch(z):
    """The polynomial of degree 2 closest to ReLU on this batch; it keeps the network one that such polynomials fit."""
    return polynomial_relu(z, 2)(z)


def train(images, labels, rng):
    """Adam with decoupled weight decay and a cosine learning rate that ends at zero."""
    w = initial_weights(rng)
    mean = {name: np.zeros_like(value) for name, value in w.items()}
    square = {name: np.zeros_like(value) for name, value in w.items()}
    batches = len(images) // BATCH
    for step in range(EPOCHS * batches):
        if step % batches == 0:
            order = rng.permutation(len(images))
        chosen = order[step % batches * BATCH :][:BATCH]
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / (EPOCHS * batches)))
        activation = square_on_batch if rng.random() < SQUARE_SHARE else relu
        for name, g in gradients(w, augment(images[chosen], rng), labels[chosen], activation).items():
            mean[name] += 0.1 * (g - mean[name])
            square[name] += 0.001 * (g * g - square[name])
            m = mean[name] / (1 - 0.9 ** (step + 1))
            v = square[name] / (1 - 0.999 ** (step + 1))
            decay = WEIGHT_DECAY * w[name] if name.endswith("weight") else 0
            w[name] -= np.float32(rate) * (m / (np.sqrt(v) + 1e-8) + decay)
    return w


# ---- what becomes of it under encryption -----------------------------------------------------------------------------


def polynomial_logits(w, calibration, x, degree):
    """Logits with both ReLUs replaced; the second is fitted on what the first polynomial feeds it."""
    w = {name: value.astype(np.float64) for name, value in w.items()}
    z1 = conv(calibration, w["conv1.weight"], w["conv1.bias"])
    first = polynomial_relu(z1, degree)
    z2 = conv(pool(first(z1)[0]), w["conv2.weight"], w["conv2.bias"])
    return forward(w, x, (first, polynomial_relu(z2, degree)))[0]


# ---- files -----------------------------------------------------------------------------------------------------------


def onnx_model(w):
    conv_attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
    pool_attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["z1"], "conv1", **conv_attributes),
        helper.make_node("Relu", ["z1"], ["a1"], "relu1"),
        helper.make_node("AveragePool", ["a1"], ["p1"], "pool1", **pool_attributes),
        helper.make_node("Conv", ["p1", "conv2.weight", "conv2.bias"], ["z2"], "conv2", **conv_attributes),
        helper.make_node("Relu", ["z2"], ["a2"], "relu2"),
        helper.make_node("AveragePool", ["a2"], ["p2"], "pool2", **pool_attributes),
        helper.make_node("Flatten", ["p2"], ["features"], "flatten", axis=1),
        helper.make_node("Gemm", ["features", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(value, name) for name, value in w.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="digits")
    onnx.checker.check_model(model, full_check=True)
    return model


def onnxruntime_logits(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in x])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    rng = np.random.default_rng(SEED)
    train_images, train_labels, held_out, held_out_labels = load_split(rng)
    calibration = train_images[:CALIBRATION_IMAGES]
    w = train(train_images, train_labels, rng)

    bundled = first_of_each_digit(held_out_labels, BUNDLED_PER_DIGIT)
    test, labels = held_out[bundled], held_out_labels[bundled]
    onnx.save(onnx_model(w), out / "digits.onnx")
    np.save(out / "test_images.npy", test)
    np.save(out / "test_labels.npy", labels)
    np.save(out / "calibration.npy", calibration)

    logits = forward(w, test)[0]
    difference = np.abs(onnxruntime_logits(out / "digits.onnx", test) - logits).max()
    if not difference < 1e-4:
        raise SystemExit(f"onnxruntime and numpy differ by {difference}")
    held_out_logits = forward(w, held_out)[0]
    held_out_classes = held_out_logits.argmax(1)
    train_right = (forward(w, train_images)[0].argmax(1) == train_labels).sum()
    print(f"training digits   {train_right} of {len(train_labels)} right")
    print(f"held-out digits   {(held_out_classes == held_out_labels).sum()} of {len(held_out_labels)} right")
    print(f"bundled digits    {(logits.argmax(1) == labels).sum()} of {len(labels)} right")
    print(f"onnxruntime       differs by {difference:.1e}, logits in {logits.min():.2f}..{logits.max():.2f}")
    for degree in (2, 3, 4):
        poly = polynomial_logits(w, calibration, held_out, degree)
        same = poly.argmax(1) == held_out_classes
        right = (poly.argmax(1) == held_out_labels).sum()
        rms = np.sqrt(np.mean((poly - held_out_logits) ** 2))
        print(
            f"ReLU of degree {degree}  same class on {same[bundled].sum()} of {len(labels)} bundled and {same.sum()} of"
            f" {len(same)} held-out digits; {right} held-out right, logit error {rms:.2f} rms"
        )


if __name__ == "__main__":
    main()
