"""Writes the ONNX files that the importer is tested with.

    python make.py

NAME.onnx is a tiny model, NAME.npz its `input` (or `input0`, `input1`) and the `output` that onnxruntime computes,
and ONNX's own reference evaluator must confirm. Where a last Softmax follows a value `logits`, NAME.npz has it too.
A model with a batch axis of no size has a second run, `input_batch3` and `output_batch3`. Models in refused/ must give
an error; where one node is at fault it is named "refused". Random values are seeded by the case's name, so that the
files are the same every time.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

import accepted_arithmetic
import accepted_attention
import accepted_files
import accepted_functions
import accepted_layers
import accepted_shapes
import refused

HERE = Path(__file__).parent
SUFFIXES = {".onnx", ".npz", ".bin"}


def inputs_of(model):
    """The graph inputs that are no initializers, in order."""
    weights = {w.name for w in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in weights]


def run(path, feed, confirm):
    """The first output by onnxruntime, compared with the reference evaluator if `confirm` is set."""
    output = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)[0]
    if confirm:
        expected = ReferenceEvaluator(str(path)).run(None, feed)[0]
        if output.shape != expected.shape or not np.allclose(output, expected, atol=1e-4):
            raise SystemExit(f"{path.name}: onnxruntime gives {output}, the reference evaluator {expected}")
    return output


def value_of(model, name, feed):
    """The value `name` inside the model."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    inner.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(inner.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], feed)[0]


def write(case):
    """Writes one accepted case, and its arrays."""
    path = HERE / f"{case.name}.onnx"
    case.save(path)
    onnx.checker.check_model(path, full_check=True)
    names = inputs_of(case.model)
    arrays = {}
    for suffix, values in case.inputs.items():
        for i, value in enumerate(values):
            arrays[f"input{i if len(names) > 1 else ''}{suffix}"] = value
        feed = dict(zip(names, values, strict=True))
        arrays[f"output{suffix}"] = run(path, feed, case.confirm)
        if any("logits" in node.output for node in case.model.graph.node):
            arrays[f"logits{suffix}"] = value_of(case.model, "logits", feed)
        if not np.isfinite(arrays[f"output{suffix}"]).all():
            raise SystemExit(f"{case.name}: the output is not finite")
    np.savez(HERE / f"{case.name}.npz", **arrays)


def main():
    for old in [p for folder in (HERE, HERE / "refused") for p in folder.glob("*") if p.suffix in SUFFIXES]:
        old.unlink()
    modules = (
        accepted_arithmetic,
        accepted_layers,
        accepted_functions,
        accepted_shapes,
        accepted_files,
        accepted_attention,
    )
    cases = [case for module in modules for case in module.cases()]
    if len({case.name for case in cases}) < len(cases):
        raise SystemExit("two cases have one name")
    for case in cases:
        write(case)
    (HERE / "refused").mkdir(exist_ok=True)
    for name, content in refused.files():
        (HERE / "refused" / f"{name}.onnx").write_bytes(content)
    print(f"{len(cases)} accepted, {len(list(refused.files()))} refused")


if __name__ == "__main__":
    main()
