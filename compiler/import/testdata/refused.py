"""Models that must give an error: operators and shapes that cannot be compiled, and damaged files."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from build import ints, model, node, random

BAD = "refused"  # the name of the node at fault


def files():
    """Name and bytes of each file."""
    for name, made in [*operators(), *encrypted_operands(), *shapes(), *inconsistent(), *versions(), *external()]:
        yield name, made.SerializeToString(deterministic=True)
    yield from damaged()


def single(name, op_type, shape, *weights, opset=17, **attributes):
    names = [f"w{i}" for i in range(len(weights))]
    nodes = [node(op_type, " ".join(["x", *names]), name=BAD, **attributes)]
    return name, model(name, nodes, {"x": shape}, dict(zip(names, weights)), opset=opset)


def operators():
    """Operators, or uses of them, that are not supported; `several` has four of them, none named "refused"."""
    lstm = [node("LSTM", "x w r", "y", BAD, hidden_size=2)]
    yield "lstm", model("lstm", lstm, {"x": (2, 1, 3)}, {"w": (1, 8, 3), "r": (1, 8, 2)})
    nonzero = [node("NonZero", "x", "i", BAD), node("Cast", "i", to=TensorProto.FLOAT)]
    yield "non_zero", model("non_zero", nonzero, {"x": (2, 3)})
    yield "if", if_model()
    yield single(
        "batch_normalization_training",
        "BatchNormalization",
        (1, 2, 2),
        (2,),
        (2,),
        (2,),
        np.ones(2, np.float32),
        training_mode=1,
    )
    yield single("dropout_training", "Dropout", (2, 3), np.float32(0.5), np.array(True))
    yield single("pad_reflect", "Pad", (1, 1, 3, 3), ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    yield single("div_by_zero", "Div", (2, 3), np.float32(0))
    top_k = [node("TopK", "x k", "y i", BAD, axis=1)]
    yield "top_k", model("top_k", top_k, {"x": (2, 3)}, {"k": ints(2)})
    custom = [helper.make_node("Warp", ["x"], ["y"], BAD, domain="com.example")]
    yield "custom_domain", model("custom_domain", custom, {"x": (2, 3)}, domains=["com.example"])
    four = [
        node("TopK", "x k", "v i", "first"),
        node("Softmax", "v", "s", "second"),
        node("Ceil", "s", "c", "third"),
        node("Det", "c", "y", "fourth"),
    ]
    yield "several", model("several", four, {"x": (1, 3, 3)}, {"k": ints(3)})


def if_model():
    output = [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 2])]
    then = helper.make_graph([node("Neg", "x", "o")], "then", [], output)
    other = helper.make_graph([node("Relu", "x", "o")], "else", [], output)
    condition = [node("ReduceMean", "x", "m", keepdims=0), node("Greater", "m zero", "c")]
    nodes = [*condition, node("If", "c", "y", BAD, then_branch=then, else_branch=other)]
    return model("if", nodes, {"x": (1, 2)}, {"zero": np.float32(0)})


def encrypted_operands():
    """A constant is needed where these have a value that depends on the input."""
    two = [node("Gemm", "x v", "a"), node("Gemm", "x w", "b")]
    weights = {"v": (2, 2), "w": (2, 2)}
    power = [*two, node("Pow", "a b", name=BAD)]
    yield "pow_encrypted", model("pow_encrypted", power, {"x": (2, 2)}, weights)
    conv = [node("Conv", "w x", name=BAD)]
    yield "conv_encrypted_weight", model("conv_encrypted_weight", conv, {"x": (1, 1, 2, 2)}, {"w": (1, 1, 3, 3)})
    shape = [node("Cast", "x", "s", to=TensorProto.INT64), node("Reshape", "w s", name=BAD)]
    yield "reshape_encrypted_shape", model("reshape_encrypted_shape", shape, {"x": (2,)}, {"w": (2, 3)})


def shapes():
    """Sizes that are not known, or not possible."""
    conv = [node("Conv", "x w")]
    yield "dynamic_width", model("dynamic_width", conv, {"x": (1, 1, 5, "W")}, {"w": (1, 1, 3, 3)})
    yield "unknown_rank", model("unknown_rank", [node("Relu", "x")], {"x": None})
    yield "zero_size", model("zero_size", [node("Relu", "x")], {"x": (1, 0)})
    yield "huge_input", model("huge_input", [node("Relu", "x")], {"x": (1 << 40, 1 << 40)})
    integer = [node("Cast", "x", to=TensorProto.FLOAT)]
    yield "integer_input", model("integer_input", integer, {"x": (1, 3)}, dtype=TensorProto.INT64)


def unchecked(name, nodes, shape, weights=None):
    """A model that ONNX's shape inference would reject, so its output is given no shape."""
    weights = {k: random(f"{name}/{k}", *v) if isinstance(v, tuple) else v for k, v in (weights or {}).items()}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [v if isinstance(v, TensorProto) else numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="testdata")
    return name, made


def inconsistent():
    """Files that can be read but contradict themselves."""
    x = (1, 2, 4, 4)
    yield unchecked("gemm_sizes", [node("Gemm", "x w", name=BAD)], (1, 3), {"w": (4, 2)})
    yield unchecked("conv_channels", [node("Conv", "x w", name=BAD)], x, {"w": (1, 3, 3, 3)})
    yield unchecked("conv_kernel_too_large", [node("Conv", "x w", name=BAD)], x, {"w": (1, 2, 7, 7)})
    yield unchecked("conv_stride_zero", [node("Conv", "x w", name=BAD, strides=[0, 1])], x, {"w": (1, 2, 3, 3)})
    yield unchecked("conv_stride_negative", [node("Conv", "x w", name=BAD, strides=[-1, 1])], x, {"w": (1, 2, 3, 3)})
    yield unchecked("conv_group_zero", [node("Conv", "x w", name=BAD, group=0)], x, {"w": (1, 2, 3, 3)})
    yield unchecked("conv_pads_huge", [node("Conv", "x w", name=BAD, pads=[2**62] * 4)], x, {"w": (1, 2, 3, 3)})
    yield unchecked("conv_pads_missing", [node("Conv", "x w", name=BAD, pads=[1, 1])], x, {"w": (1, 2, 3, 3)})
    yield unchecked("add_shapes", [node("Add", "x w", name=BAD)], (2, 3), {"w": (2,)})
    yield unchecked("reshape_sizes", [node("Reshape", "x w", name=BAD)], (2, 3), {"w": ints(4, -1)})
    yield unchecked("reshape_two_unknown", [node("Reshape", "x w", name=BAD)], (2, 3), {"w": ints(-1, -1)})
    yield unchecked("transpose_perm", [node("Transpose", "x", name=BAD, perm=[0, 0])], (2, 3))
    yield unchecked("concat_axis", [node("Concat", "x x", name=BAD, axis=5)], (2, 3))
    yield unchecked("squeeze_axis", [node("Squeeze", "x w", name=BAD)], (2, 3), {"w": ints(0)})
    yield unchecked(
        "slice_step_zero",
        [node("Slice", "x a b c d", name=BAD)],
        (2, 3),
        {"a": ints(0), "b": ints(2), "c": ints(1), "d": ints(0)},
    )
    yield unchecked(
        "batch_normalization_sizes",
        [node("BatchNormalization", "x w w w w", name=BAD)],
        x,
        {"w": np.ones(3, np.float32)},
    )
    yield unchecked("average_pool_no_kernel", [node("AveragePool", "x", name=BAD)], x)
    yield unchecked("gemm_one_input", [node("Gemm", "x", name=BAD)], (1, 3))
    yield unchecked("undefined_value", [node("Add", "x nowhere", name=BAD)], (2, 3))
    yield unchecked("cycle", [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Neg", "b")], (2, 3))
    yield unchecked("defined_twice", [node("Relu", "x", "y"), node("Neg", "x", "y", BAD)], (2, 3))
    yield unchecked("output_missing", [node("Relu", "x", "z")], (2, 3))
    yield unchecked("no_nodes", [], (2, 3))
    short = helper.make_tensor("w", TensorProto.FLOAT, [3], np.ones(3, "<f4").tobytes(), raw=True)
    short.raw_data = short.raw_data[:7]
    yield unchecked("tensor_short", [node("Add", "x w")], (2, 3), {"w": short})
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 30])
    yield unchecked("tensor_huge", [node("Add", "x w")], (2, 3), {"w": huge})
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-3])
    yield unchecked("tensor_negative", [node("Add", "x w")], (2, 3), {"w": negative})
    not_finite = np.array([1, np.nan, np.inf], np.float32)
    yield unchecked("tensor_not_finite", [node("Add", "x w")], (2, 3), {"w": not_finite})


def versions():
    for name, opsets in (("opset_6", [("", 6)]), ("opset_none", []), ("opset_1000", [("", 1000)])):
        made = unchecked(name, [node("Relu", "x")], (2, 3))[1]
        del made.opset_import[:]
        made.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
        yield name, made
    empty = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)])
    yield "no_graph", empty


def external():
    """Weights said to lie in a file that is outside the model's folder, does not exist, or is too short."""
    for name, entries in (
        ("external_outside", {"location": "../external_data.bin"}),
        ("external_absolute", {"location": "/etc/hostname"}),
        ("external_absent", {"location": "absent.bin"}),
        ("external_beyond_end", {"location": "external_absent.onnx", "offset": str(1 << 62), "length": "12"}),
        ("external_length", {"location": "external_absent.onnx", "offset": "0", "length": "5"}),
        ("external_offset_text", {"location": "external_absent.onnx", "offset": "first"}),
        ("external_no_location", {"offset": "0"}),
    ):
        w = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        for key, value in entries.items():
            w.external_data.add(key=key, value=value)
        yield unchecked(name, [node("Add", "x w")], (2, 3), {"w": w})


def damaged():
    """Bytes that are no model."""
    whole = model("whole", [node("Gemm", "x w")], {"x": (1, 3)}, {"w": (3, 2)}).SerializeToString(deterministic=True)
    yield "file_empty", b""
    yield "file_truncated", whole[: len(whole) // 2]
    yield "file_text", b"this is not a model\n"
    yield "file_zeros", bytes(64)
