"""Operators that move values without changing them, and shapes that are computed in the model."""

import numpy as np

from build import NEWEST, case, ints, node, one

INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1


def cases():
    yield from flatten_and_reshape()
    yield from computed_shapes()
    yield from transpose_and_concat()
    yield from slices()
    yield from pads()
    yield from squeezes()
    yield from no_operations()


def flatten_and_reshape():
    shape = (2, 3, 2, 2)
    yield one("flatten", "Flatten", shape)
    for axis in (0, 2, 4, -1, -3):
        yield one(f"flatten_axis_{axis}".replace("-", "minus"), "Flatten", shape, axis=axis, opset=13)
    yield one("flatten_opset7", "Flatten", shape, axis=1, opset=7)
    yield one("reshape", "Reshape", (2, 6), ints(3, 4))
    yield one("reshape_copy_infer", "Reshape", shape, ints(0, -1))
    yield one("reshape_infer_middle", "Reshape", shape, ints(2, -1, 0))
    yield one("reshape_flat", "Reshape", shape, ints(-1))
    yield one("reshape_opset7", "Reshape", shape, ints(0, -1), opset=7)
    yield one("reshape_allowzero", "Reshape", (2, 6), ints(4, 3), allowzero=1)


def computed_shapes():
    """Reshape as exporters write it, where the new shape is arithmetic on the shape of a tensor."""
    batch = [node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0)]
    view = [*batch, node("Unsqueeze", "n front", "n1"), node("Concat", "n1 rest", "t", axis=0), node("Reshape", "x t")]
    constants = {"zero": np.int64(0), "front": ints(0), "rest": ints(-1)}
    yield case("shape_view", view, {"x": (2, 3, 2)}, constants)
    yield case("shape_view_dynamic", view, {"x": ("N", 3, 2)}, constants)
    product = [
        *batch,
        node("Gather", "s one", "c", axis=0),
        node("Gather", "s two", "h", axis=0),
        node("Mul", "c h", "ch"),
        node("Div", "ch two", "half"),
        node("Unsqueeze", "n front", "n1"),
        node("Unsqueeze", "half front", "half1"),
        node("Concat", "n1 two1 half1", "t", axis=0),
        node("Reshape", "x t"),
    ]
    constants = {"zero": np.int64(0), "one": np.int64(1), "two": np.int64(2), "front": ints(0), "two1": ints(2)}
    yield case("shape_arithmetic", product, {"x": (1, 3, 4)}, constants)
    sliced = [
        node("Shape", "x", "s"),
        node("Slice", "s from to", "outer"),
        node("Cast", "outer", "f", to=1),
        node("Cast", "f", "i", to=7),
        node("Concat", "i rest", "t", axis=0),
        node("Reshape", "x t"),
    ]
    yield case("shape_slice_cast", sliced, {"x": (2, 3, 4, 1)}, {"from": ints(0), "to": ints(2), "rest": ints(-1)})
    part = [node("Shape", "x", "s", start=0, end=-2), node("Concat", "s rest", "t", axis=0), node("Reshape", "x t")]
    yield case("shape_start_end", part, {"x": (2, 3, 2, 2)}, {"rest": ints(-1)}, opset=15)
    other = [node("Gemm", "x w", "g"), node("Shape", "x", "s"), node("Reshape", "g s")]
    yield case("shape_of_other_tensor", other, {"x": (2, 3)}, {"w": (3, 3)})
    scale = [
        node("Shape", "x", "s"),
        node("Gather", "s last", "d"),
        node("Cast", "d", "f", to=1),
        node("Sqrt", "f", "r"),
        node("Div", "x r"),
    ]
    yield case("shape_attention_scale", scale, {"x": (2, 4)}, {"last": np.int64(-1)})
    zeros = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Add", "x z")]
    yield case("shape_constant_of_shape", zeros, {"x": (2, 3)})


def transpose_and_concat():
    shape = (1, 2, 3, 4)
    yield one("transpose", "Transpose", shape, perm=[0, 2, 3, 1])
    yield one("transpose_default", "Transpose", (2, 3, 4))
    yield one("transpose_batch", "Transpose", (2, 3, 2), perm=[1, 0, 2])
    parts = [node("Relu", "x", "r"), node("Neg", "x", "n")]
    yield case("concat_axis_1", [*parts, node("Concat", "r n x", axis=1)], {"x": (1, 2, 2, 2)})
    yield case("concat_axis_minus1", [*parts, node("Concat", "n r", axis=-1)], {"x": (2, 3)})
    yield case("concat_constant", [node("Concat", "x w", axis=1)], {"x": (1, 2, 2)}, {"w": (1, 1, 2)})
    yield case("concat_one", [node("Concat", "x", axis=0)], {"x": (2, 2)})
    yield case("concat_two_inputs", [node("Concat", "x0 x1", axis=0)], {"x0": (1, 3), "x1": (2, 3)})


def slices():
    shape = (2, 3, 4, 5)
    yield one("slice", "Slice", shape, ints(1, 0), ints(3, 4), ints(1, 3), ints(1, 2))
    yield one("slice_no_axes", "Slice", shape, ints(0, 1, 1), ints(1, 3, 3))
    yield one("slice_negative", "Slice", shape, ints(-3, -2), ints(-1, INT64_MAX), ints(-1, 2))
    yield one("slice_beyond", "Slice", shape, ints(-9), ints(INT32_MAX), ints(3), ints(3))
    yield one("slice_int32", "Slice", shape, np.array([1], np.int32), np.array([3], np.int32), np.array([1], np.int32))
    yield one("slice_negative_step", "Slice", (2, 5), ints(-1), ints(-(2**63)), ints(1), ints(-2))
    yield one("slice_attribute", "Slice", shape, starts=[1, 0], ends=[3, -1], axes=[1, 3], opset=9)
    yield one("slice_attribute_no_axes", "Slice", shape, starts=[1], ends=[2], opset=9)


def pads():
    shape = (1, 2, 2, 3)
    yield one("pad", "Pad", shape, ints(0, 0, 1, 2, 0, 0, 0, 1))
    yield one("pad_value", "Pad", shape, ints(0, 1, 1, 0, 0, 0, 0, 2), np.float32(1.5), mode="constant")
    yield one("pad_negative", "Pad", (1, 1, 4, 4), ints(0, 0, -1, 1, 0, 0, 1, -2), confirm=False)
    yield one("pad_axes", "Pad", shape, ints(1, 2, 0, 1), None, ints(2, -1), opset=18)
    yield one("pad_attribute", "Pad", shape, pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5, opset=9)


def squeezes():
    yield one("squeeze_attribute", "Squeeze", (1, 2, 1, 3), axes=[2], opset=11)
    yield one("squeeze_input", "Squeeze", (1, 2, 1, 3), ints(0, -2))
    yield one("squeeze_all", "Squeeze", (1, 2, 1, 3))
    yield one("unsqueeze_attribute", "Unsqueeze", (2, 3), axes=[0, 3], opset=11)
    yield one("unsqueeze_input", "Unsqueeze", (2, 3), ints(-1, 1))


def no_operations():
    yield one("identity", "Identity", (2, 3))
    yield one("dropout_opset7", "Dropout", (2, 3), ratio=0.5, opset=7)
    yield one("dropout_opset12", "Dropout", (2, 3), np.float32(0.5), opset=12)
    yield one("dropout_training_false", "Dropout", (2, 3), np.float32(0.5), np.array(False), opset=13)
    yield case("dropout_mask", [node("Dropout", "x", "y mask")], {"x": (2, 3)})
    yield one("cast_to_float", "Cast", (2, 3), to=1, opset=NEWEST)
