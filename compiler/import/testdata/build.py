"""How a case is described: nodes, input shapes and weights, from which the model and its random values are made."""

import zlib
from dataclasses import dataclass, field
from typing import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NEWEST = 26  # the newest opset that onnxruntime of requirements.txt runs


@dataclass
class Case:
    """A model that must be accepted. `inputs` has a list of arrays under "", and under the suffix of any further run.

    `confirm` is off where ONNX's reference evaluator is wrong or incomplete.
    """

    name: str
    model: onnx.ModelProto
    inputs: dict[str, list[np.ndarray]]
    confirm: bool = True
    save: Callable = field(default=None)

    def __post_init__(self):
        self.save = self.save or (lambda path: onnx.save(self.model, path))


def random(name, *shape):
    """Normal values that depend on the name alone."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)


def ints(*values):
    return np.array(values, np.int64)


def node(op_type, inputs, output="y", name="", **attributes):
    """A node; `inputs` is a string of names with spaces between them, and `_` for one that is left out."""
    names = ["" if i == "_" else i for i in inputs.split()]
    return helper.make_node(op_type, names, output.split(), name or f"{op_type.lower()}_{output}", **attributes)


def tensors(case_name, weights):
    """Initializers; a tuple is a shape to be filled with random values."""
    arrays = {k: random(f"{case_name}/{k}", *v) if isinstance(v, tuple) else v for k, v in weights.items()}
    return [v if isinstance(v, TensorProto) else numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items()]


def model(name, nodes, inputs, weights=None, opset=17, ir_version=None, domains=(), dtype=TensorProto.FLOAT):
    """A model with one output `y`, whose shape is the inferred one where there is one."""
    weights = tensors(name, weights or {})
    values = [helper.make_tensor_value_info(k, dtype, shape) for k, shape in inputs.items()]
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    ir_version = ir_version or max(4, helper.find_min_ir_version_for(opsets, ignore_unknown=True))
    if ir_version < 4:
        values += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights]
    graph = helper.make_graph(
        nodes, name, values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights
    )
    made = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="testdata")
    return with_output_shape(made)


def with_output_shape(made):
    inferred = onnx.shape_inference.infer_shapes(made, data_prop=True).graph.output[0]
    if inferred.type.tensor_type.HasField("shape"):
        made.graph.output[0].CopyFrom(inferred)
    return made


def case(name, nodes, inputs, weights=None, confirm=True, **options):
    """A case of one run; each axis given by name or by None has size 1 in it."""
    made = model(name, nodes, inputs, weights, **options)
    return Case(name, made, {"": arrays(name, inputs, batch=1)}, confirm)


def arrays(name, inputs, batch):
    fixed = {k: [d if isinstance(d, int) else batch for d in shape] for k, shape in inputs.items()}
    return [random(f"{name}/{k}/{batch}", *shape) for k, shape in fixed.items()]


def one(name, op_type, shape, *weights, opset=17, confirm=True, **attributes):
    """A case of one node on one input; weights are shapes, arrays, or None for an input left out."""
    names = [f"w{i}" if w is not None else "_" for i, w in enumerate(weights)]
    nodes = [node(op_type, " ".join(["x", *names]), **attributes)]
    given = {k: w for k, w in zip(names, weights) if w is not None}
    return case(name, nodes, {"x": shape}, given, confirm, opset=opset)
