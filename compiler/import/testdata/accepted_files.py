"""The ways a file can hold a model: how weights are stored, opset and IR versions, a batch axis without a size."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from build import NEWEST, Case, arrays, case, ints, model, node, random, tensors


def cases():
    yield from networks()
    yield from weights_stored()
    yield from constants()
    yield from dynamic_batch()


def network_nodes():
    return [
        node("Conv", "x k c", "h", "conv1", pads=[1, 1, 1, 1]),
        node("Relu", "h", "r", "relu1"),
        node("AveragePool", "r", "p", "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "f", "flatten"),
        node("Gemm", "f w b", "y", "fc", transB=1),
    ]


NETWORK_WEIGHTS = {"k": (2, 1, 3, 3), "c": (2,), "w": (3, 8), "b": (3,)}


def networks():
    """One network in every generation of the format; IR version 3 lists the weights among the inputs too."""
    for opset, ir_version in ((7, 3), (8, 3), (9, 4), (11, 6), (13, 7), (17, 8), (21, 10), (NEWEST, None)):
        name = f"network_opset{opset}"
        yield case(name, network_nodes(), {"x": (1, 1, 4, 4)}, NETWORK_WEIGHTS, opset=opset, ir_version=ir_version)
    unnamed = network_nodes()
    for n in unnamed:
        n.name = ""
    yield case("network_unnamed_nodes", unnamed, {"x": (1, 1, 4, 4)}, NETWORK_WEIGHTS)


def weights_stored():
    """The same Gemm with its weights in the other fields that a tensor can have, and in a file beside the model."""
    gemm, shape = [node("Gemm", "x w b")], {"x": (1, 3)}
    for kind in ("float_data", "transposed", "half", "double"):
        name = f"weights_{kind}"
        w, b = random(f"{name}/w", 3, 2), random(f"{name}/b", 2)
        if kind == "float_data":
            stored = {
                k: helper.make_tensor(k, TensorProto.FLOAT, v.shape, v.flatten()) for k, v in (("w", w), ("b", b))
            }
            yield case(name, gemm, shape, stored)
        elif kind == "transposed":
            yield case(name, [node("Transpose", "t", "w", perm=[1, 0]), *gemm], shape, {"t": w.T.copy(), "b": b})
        else:
            cast = [node("Cast", "t", "w", to=TensorProto.FLOAT), *gemm]
            yield case(name, cast, shape, {"t": w.astype({"half": np.float16, "double": np.float64}[kind]), "b": b})
    identity = [node("Identity", "v", "w"), *gemm]
    yield case("weights_identity", identity, shape, {"v": (3, 2), "b": (2,)})
    folded = [node("Mul", "u v", "w"), node("Sub", "b b", "zero"), node("Gemm", "x w zero")]
    yield case("weights_folded", folded, shape, {"u": (3, 2), "v": (3, 1), "b": (2,)})
    yield external()


def external():
    """Weights in external_data.bin: the first at offset 0, the second after it."""
    made = case("external_data", [node("Gemm", "x w b")], {"x": (1, 40)}, {"w": (40, 2), "b": (2,)})

    def save(path):
        copy = onnx.ModelProto()
        copy.CopyFrom(made.model)
        location = f"{path.stem}.bin"
        onnx.save(copy, path, save_as_external_data=True, location=location, size_threshold=0)

    made.save = save
    return made


def constants():
    shape = {"x": (2, 3)}
    tensor = tensors("constant_value", {"value": (3,)})[0]
    yield case("constant_value", [node("Constant", "", "c", value=tensor), node("Add", "x c")], shape)
    yield case("constant_float", [node("Constant", "", "c", value_float=1.5), node("Mul", "x c")], shape)
    floats = node("Constant", "", "c", value_floats=[0.5, -1.0, 2.0])
    yield case("constant_floats", [floats, node("Sub", "x c")], shape)
    yield case("constant_ints", [node("Constant", "", "c", value_ints=[3, 2]), node("Reshape", "x c")], shape)
    yield case("constant_int", [node("Constant", "", "c", value_int=2), node("Pow", "x c")], shape)
    tensor = numpy_helper.from_array(np.array([1], np.float32), "value")
    filled = [node("ConstantOfShape", "dims", "c", value=tensor), node("Add", "x c")]
    yield case("constant_of_shape", filled, shape, {"dims": ints(3)})
    yield case("constant_opset7", [node("Constant", "", "c", value=tensor), node("Mul", "x c")], shape, opset=7)


def dynamic_batch():
    """Runs of one and of three images; `input_batch3` and `output_batch3` are the second."""
    for name, axis in (("dynamic_batch", "N"), ("dynamic_batch_unnamed", None)):
        inputs = {"x": (axis, 1, 4, 4)}
        made = model(name, network_nodes(), inputs, NETWORK_WEIGHTS)
        runs = {"": arrays(name, inputs, batch=1), "_batch3": arrays(name, inputs, batch=3)}
        yield Case(name, made, runs)
