"""Functions of each element, of which the compiler approximates every one by a polynomial, and choices between values."""

import numpy as np

from build import NEWEST, case, node, one

SHAPE = (2, 3, 4)


def cases():
    yield from plain()
    yield from positive()
    yield from choices()


def plain():
    for op_type, opset in (
        ("Abs", 13),
        ("Celu", 12),
        ("Cos", 7),
        ("Elu", 7),
        ("Erf", 13),
        ("Exp", 13),
        ("HardSigmoid", 7),
        ("HardSwish", 14),
        ("Mish", 18),
        ("Selu", 7),
        ("Shrink", 9),
        ("Sign", 13),
        ("Sin", 7),
        ("Softplus", 7),
        ("Softsign", 7),
        ("ThresholdedRelu", 10),
    ):
        yield one(f"function_{op_type.lower()}", op_type, SHAPE, opset=opset)
    yield one("function_celu_alpha", "Celu", SHAPE, opset=12, alpha=0.5)
    yield one("function_elu_alpha", "Elu", SHAPE, alpha=0.5)
    yield one("function_elu_newest", "Elu", SHAPE, opset=NEWEST)
    yield one("function_hard_sigmoid_attributes", "HardSigmoid", SHAPE, alpha=0.5, beta=0.25)
    yield one("function_selu_attributes", "Selu", SHAPE, alpha=0.5, gamma=2.0)
    yield one("function_shrink_attributes", "Shrink", SHAPE, lambd=0.25, bias=0.125)
    yield one("function_thresholded_relu_alpha", "ThresholdedRelu", SHAPE, alpha=0.25)


def positive():
    """On x² + 0.1, for functions of positive numbers."""
    before = [node("Mul", "x x", "s"), node("Add", "s tenth", "p")]
    tenth = {"tenth": np.float32(0.1)}
    for op_type in ("Log", "Sqrt", "Reciprocal"):
        yield case(f"function_{op_type.lower()}", [*before, node(op_type, "p")], {"x": SHAPE}, tenth)
    for name, exponent in (("half", 0.5), ("minus_1", -1), ("minus_2", -2), ("1_5", 1.5)):
        weights = {**tenth, "e": np.float32(exponent)}
        yield case(f"function_pow_{name}", [*before, node("Pow", "p e")], {"x": SHAPE}, weights)
    yield case("function_pow_base", [node("Pow", "b x")], {"x": SHAPE}, {"b": np.array([2, 0.5, 1, 3], np.float32)})
    yield case("function_div", [*before, node("Div", "x p")], {"x": SHAPE}, tenth)
    yield case("function_div_constant", [*before, node("Div", "c p")], {"x": SHAPE}, {**tenth, "c": (3, 1)})


def choices():
    low, high = np.float32(-0.5), np.float32(0.75)
    yield one("choice_clip_opset7", "Clip", SHAPE, opset=7, min=-0.5, max=0.75)
    yield one("choice_clip_opset7_max", "Clip", SHAPE, opset=7, max=0.75)
    yield one("choice_clip", "Clip", SHAPE, low, high)
    yield one("choice_clip_min", "Clip", SHAPE, low)
    yield one("choice_clip_max", "Clip", SHAPE, None, high)
    yield one("choice_clip_none", "Clip", SHAPE)
    for op_type in ("Max", "Min"):
        name = f"choice_{op_type.lower()}"
        yield one(f"{name}_scalar", op_type, SHAPE, low)
        yield one(f"{name}_channel", op_type, SHAPE, (3, 1))
        yield one(f"{name}_grows", op_type, (4,), (3, 1))
        two = [node("Mul", "x x", "s"), node(op_type, "s x")]
        yield case(f"{name}_encrypted", two, {"x": SHAPE})
        three = [node("Mul", "x x", "s"), node("Neg", "x", "n"), node(op_type, "w s x n")]
        yield case(f"{name}_of_four", three, {"x": SHAPE}, {"w": (4,)})
    yield one("choice_prelu_channel", "PRelu", (1, 3, 2, 2), (3, 1, 1), opset=16)
    yield one("choice_prelu_opset7", "PRelu", SHAPE, np.array([0.25], np.float32), opset=7)
