"""Element by element arithmetic: with constants of every broadcast shape, of a value with itself, of two branches."""

import numpy as np

from build import case, ints, node, one, random


def cases():
    yield from by_constant()
    yield from powers()
    yield from branches()


def by_constant():
    shape = (1, 3, 2, 2)
    for op_type in ("Add", "Sub", "Mul", "Div"):
        low = op_type.lower()
        yield one(f"{low}_scalar", op_type, shape, random(f"{low}_scalar"))
        yield one(f"{low}_channel", op_type, shape, (3, 1, 1))
        yield one(f"{low}_full", op_type, shape, (1, 3, 2, 2))
        if op_type != "Div":
            yield case(f"{low}_constant_left", [node(op_type, "w x")], {"x": shape}, {"w": (2,)})
    yield one("add_opset7", "Add", shape, (3, 1, 1), opset=7)
    yield one("add_input_grows", "Add", (1, 3, 1, 1), (2, 3, 2, 2))
    yield one("mul_input_gains_axes", "Mul", (4,), (2, 3, 1))
    yield one("sub_input_grows", "Sub", (2, 1), (3,))
    yield one("neg", "Neg", shape)


def powers():
    for exponent in (0, 1, 2, 3, 4, 7):
        yield one(f"pow_{exponent}", "Pow", (2, 3), np.float32(exponent))
    yield one("pow_2_integer", "Pow", (2, 3), ints(2))
    yield one("pow_2_opset7", "Pow", (2, 3), np.array([2], np.float32), opset=7)
    yield case("square", [node("Mul", "x x")], {"x": (1, 2, 2, 2)})
    square_net = [node("Gemm", "x v a", "h"), node("Mul", "h h", "s"), node("Gemm", "s w b")]
    yield case("square_network", square_net, {"x": (1, 4)}, {"v": (4, 3), "a": (3,), "w": (3, 2), "b": (2,)})


def branches():
    two = [node("Conv", "x v", "a"), node("Conv", "x w", "b")]
    weights = {"v": (2, 2, 1, 1), "w": (2, 2, 3, 3)}
    same = [node("Conv", "x v", "a"), node("Conv", "x w", "b", pads=[1, 1, 1, 1])]
    for op_type in ("Add", "Sub", "Mul"):
        yield case(f"branches_{op_type.lower()}", [*same, node(op_type, "a b")], {"x": (1, 2, 3, 3)}, weights)
    yield case("branches_add_broadcast", [*two, node("Add", "a b")], {"x": (1, 2, 3, 3)}, weights)
    yield case("add_itself", [node("Add", "x x")], {"x": (2, 2)})
    yield case("sub_itself", [node("Relu", "x", "r"), node("Sub", "x r")], {"x": (2, 2)})
    residual = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node("Add", "r x")]
    yield case("residual", residual, {"x": (1, 2, 3, 3)}, {"w": (2, 2, 3, 3)})
    yield case("two_inputs_add", [node("Add", "x0 x1")], {"x0": (1, 3), "x1": (2, 1)})
    yield case("two_inputs_mul", [node("Mul", "x0 x1")], {"x0": (1, 3), "x1": (1, 3)})
