"""What transformers are made of: products of two encrypted matrices, softmax inside, normalisations."""

import numpy as np
from onnx import TensorProto, helper

from build import NEWEST, case, ints, node, one, random


def cases():
    yield from products()
    yield from softmax()
    yield from layer_normalization()
    yield from decomposed_normalization()
    yield from lp_norms()
    yield from masks()
    yield from einsums()
    yield from fused()


def projections(*names):
    """Values that are linear in the input, so that none is the input itself."""
    return [node("MatMul", f"x w{n}", n) for n in names]


def products():
    """MatMul and Gemm whose factors both depend on the input."""

    def pair(name, left, right, operator="MatMul", **attributes):
        nodes = [node("Relu", "x0", "a"), node("Tanh", "x1", "b"), node(operator, "a b", **attributes)]
        return case(name, nodes, {"x0": left, "x1": right})

    yield pair("product", (2, 3), (3, 4))
    yield pair("product_batched", (2, 3, 4), (2, 4, 5))
    yield pair("product_four_axes", (1, 2, 3, 4), (1, 2, 4, 3))
    yield pair("product_broadcast_left", (3, 4), (2, 4, 5))
    yield pair("product_broadcast_both", (1, 2, 3, 4), (3, 1, 4, 2))
    yield pair("product_row", (4,), (2, 4, 3))
    yield pair("product_column", (2, 3, 4), (4,))
    yield pair("product_dot", (5,), (5,))
    yield pair("product_gemm", (4, 2), (3, 4), "Gemm", transA=1, transB=1, alpha=0.5)
    gram = [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t")]
    yield case("product_gram", gram, {"x": (3, 4)})


def softmax():
    """Followed by something, so that the server computes it."""

    def inside(name, shape, opset=17, **attributes):
        # The reference evaluator does not flatten, as versions before 13 say.
        nodes = [node("Softmax", "x", "s", **attributes), node("Neg", "s")]
        return case(name, nodes, {"x": shape}, opset=opset, confirm=opset >= 13)

    yield inside("softmax_inside", (2, 3, 4))
    yield inside("softmax_inside_axis_1", (2, 3, 4), axis=1)
    yield inside("softmax_inside_opset11", (2, 3, 4), opset=11, axis=1)
    yield inside("softmax_inside_opset11_one_axis", (2, 3, 1), opset=11)
    attention = [
        *projections("q", "k", "v"),
        node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "scores"),
        node("Div", "scores root", "scaled"),
        node("Softmax", "scaled", "p", axis=-1),
        node("MatMul", "p v"),
    ]
    weights = {f"w{n}": (4, 4) for n in "qkv"} | {"root": np.float32(2)}
    yield case("attention", attention, {"x": (1, 3, 4)}, weights)


def layer_normalization():
    shape = (2, 3, 4)
    yield one("layer_normalization", "LayerNormalization", shape, (4,), (4,))
    yield one("layer_normalization_no_bias", "LayerNormalization", shape, (4,), epsilon=1e-2)
    yield one("layer_normalization_axis_1", "LayerNormalization", shape, (3, 4), (3, 4), axis=1)
    yield one("layer_normalization_broadcast", "LayerNormalization", shape, (3, 1), (1,), axis=-2)
    # The reference evaluator of these versions has no RMSNormalization.
    yield one("rms_normalization", "RMSNormalization", shape, (4,), opset=23, confirm=False)
    yield one("rms_normalization_axis_1", "RMSNormalization", shape, (3, 4), opset=23, axis=1, confirm=False)


def mean(value, output, opset=17, axis=-1, keepdims=1, name="ReduceMean"):
    """Over one axis, as an attribute or an input."""
    if opset >= 18:
        return node(name, f"{value} axes", output, keepdims=keepdims)
    return node(name, value, output, axes=[axis], keepdims=keepdims)


def decomposed_normalization():
    """One for each way in which exporters write it."""
    values = {
        "two": np.float32(2),
        "eps": np.float32(1e-3),
        "half": np.float32(0.5),
        "minus_half": np.float32(-0.5),
        "one": np.float32(1),
        "axes": ints(-1),
        "g": (8,),
        "b": (8,),
    }

    def made(name, *nodes, opset=17):
        used = {i for n in nodes for i in n.input}
        return case(name, nodes, {"x": (2, 3, 8)}, {k: v for k, v in values.items() if k in used}, opset=opset)

    centred = [mean("x", "m"), node("Sub", "x m", "d")]
    root = [mean("p", "v"), node("Add", "v eps", "e"), node("Sqrt", "e", "r")]
    tail = [node("Mul", "n g", "s"), node("Add", "s b")]
    square, product, divide = node("Pow", "d two", "p"), node("Mul", "d d", "p"), node("Div", "d r", "n")
    yield made("layer_norm_pow", *centred, square, *root, divide, *tail)
    inverse = [node("Reciprocal", "r", "i"), node("Mul", "d i", "n")]
    yield made("layer_norm_mul", *centred, product, *root, *inverse, *tail)
    twice = [mean("x", "m2"), node("Sub", "x m2", "d2"), node("Mul", "d2 d2", "p")]
    yield made("layer_norm_twice", *centred, *twice, *root, divide, *tail)
    newer = [mean("x", "m", 18), node("Sub", "x m", "d"), square, mean("p", "v", 18), *root[1:]]
    yield made("layer_norm_opset18", *newer, node("Div", "one r", "i"), node("Mul", "i d", "n"), *tail, opset=18)
    squeezed = [mean("x", "m", keepdims=0), node("Unsqueeze", "m axes", "m1"), node("Sub", "x m1", "d"), square]
    squeezed += [mean("p", "w", keepdims=0), node("Unsqueeze", "w axes", "v"), node("Add", "v eps", "e")]
    yield made("layer_norm_squeezed", *squeezed, node("Pow", "e half", "r"), node("Div", "d r"))
    axis = [mean("x", "m", axis=1), node("Sub", "x m", "d"), product, mean("p", "v", axis=1), *root[1:]]
    yield made("layer_norm_axis_1", *axis, node("Div", "d r"))
    rms = [node("Pow", "x two", "p"), *root]
    yield made("rms_norm_sqrt", *rms, node("Div", "x r", "n"), node("Mul", "n g"))
    yield made("rms_norm_pow", *rms[:-1], node("Pow", "e minus_half", "i"), node("Mul", "x i"))
    # Not one: what is divided is not what is squared.
    yield made("rms_norm_of_another", node("Tanh", "x", "t"), *rms, node("Div", "t r"))


def lp_norms():
    x = {"x": (2, 3, 8)}
    yield one("lp_normalization", "LpNormalization", (2, 3, 8), axis=-1, p=2)
    yield one("lp_normalization_axis_1", "LpNormalization", (2, 3, 8), axis=1)
    clipped = [
        mean("x", "r", name="ReduceL2"),
        node("Clip", "r tiny", "c"),
        node("Expand", "c shape", "e"),
        node("Div", "x e"),
    ]
    constants = {"tiny": np.float32(1e-12), "shape": ints(2, 3, 8)}
    yield case("l2_clip", clipped, x, constants)
    added = [node("Mul", "x x", "p"), mean("p", "v", name="ReduceSum", opset=18), node("Sqrt", "v", "r")]
    added += [node("Add", "r tiny", "e"), node("Div", "x e")]
    yield case("l2_added", added, x, {"tiny": np.float32(1e-12), "axes": ints(-1)}, opset=18)
    yield case("reduce_l2", [mean("x", "r", name="ReduceL2", keepdims=0), node("Neg", "r")], x)
    yield case("reduce_sum_square", [mean("x", "y", name="ReduceSumSquare")], x)
    yield one("reduce_l2_all", "ReduceL2", (2, 3), opset=18)


def masks():
    """Constant masks before a softmax: added, chosen, with −∞ and with the most negative number."""
    lowest, infinite = np.finfo(np.float32).min, np.float32(-np.inf)
    seen = np.tril(np.ones((3, 3), bool))

    def made(name, mask, *nodes, **weights):
        nodes = [*nodes, node("Softmax", "m", "s"), node("Neg", "s")]
        return case(name, nodes, {"x": (2, 3, 3)}, ({"mask": mask} if mask is not None else {}) | weights)

    for name, value in (("lowest", lowest), ("infinite", infinite)):
        yield made(f"mask_added_{name}", np.where(seen, np.float32(0), value), node("Add", "x mask", "m"))
        chosen = node("Where", "mask x value", "m")
        yield made(f"mask_chosen_{name}", seen, chosen, value=value)
    # As PyTorch writes it: what would be no number without anything to attend to.
    guarded = [node("Add", "x mask", "m"), node("Softmax", "m", "p"), node("IsNaN", "p", "n")]
    guarded += [node("Where", "n zero p", "w"), node("Neg", "w")]
    weights = {"mask": np.where(seen, np.float32(0), infinite), "zero": np.float32(0)}
    yield case("mask_guarded", guarded, {"x": (2, 3, 3)}, weights)
    pick = [node("Where", "c x0 x1")]
    yield case("where_encrypted", pick, {"x0": (2, 3), "x1": (1, 3)}, {"c": np.array([[1], [0]], bool)})
    yield case("where_constant", [node("Where", "c k x")], {"x": (2, 3)}, {"c": np.array([1, 0, 1], bool), "k": (3,)})


def einsums():
    for i, (equation, left, right) in enumerate(
        [
            ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
            ("bhqk,bkhd->bqhd", (2, 2, 3, 5), (2, 5, 2, 4)),
            ("ij,kj->ik", (2, 3), (4, 3)),
            ("i,j->ji", (3,), (4,)),
            ("bi,bi->b", (2, 3), (2, 3)),
        ]
    ):
        nodes = [node("Relu", "x0", "a"), node("Tanh", "x1", "b"), node("Einsum", "a b", equation=equation)]
        yield case(f"einsum_{i}", nodes, {"x0": left, "x1": right})
        yield case(f"einsum_{i}_weight", [node("Einsum", "x w", equation=equation)], {"x": left}, {"w": right})
        yield case(f"einsum_{i}_weight_left", [node("Einsum", "w x", equation=equation)], {"x": right}, {"w": left})


def fused():
    """One node for a whole attention, and onnxruntime's own operators."""
    x = {"x": (2, 3, 8)}
    qkv = projections("q", "k", "v")

    def attention(name, kv=8, mask=None, **attributes):
        weights = {"wq": (8, 8), "wk": (8, kv), "wv": (8, kv)} | ({"mask": mask} if mask is not None else {})
        inputs = "q k v mask" if mask is not None else "q k v"
        attributes = {"q_num_heads": 4, "kv_num_heads": kv // 2} | attributes
        return case(name, [*qkv, node("Attention", inputs, **attributes)], x, weights, opset=23, confirm=False)

    yield attention("attention_node")
    yield attention("attention_shared_heads", kv=4, scale=0.3)
    yield attention("attention_causal", is_causal=1)
    yield attention("attention_mask", mask=np.tril(np.ones((3, 3), bool)))
    yield attention("attention_bias", mask=random("attention_bias/mask", 3, 3))

    def shaped(made, shape):
        """ONNX itself does not know what onnxruntime's operators give."""
        made.model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, shape))
        return made

    options = {"confirm": False, "domains": ["com.microsoft"]}

    def contrib(name, operator, weights, shape=(2, 3, 8), **attributes):
        names = " ".join(["x", *(f"w{i}" for i in range(len(weights)))])
        nodes = [node(operator, names, domain="com.microsoft", **attributes)]
        return shaped(case(name, nodes, {"x": shape}, {f"w{i}": w for i, w in enumerate(weights)}, **options), shape)

    yield contrib("contrib_attention", "Attention", [(8, 24), (24,)], num_heads=2)
    yield contrib("contrib_attention_causal", "Attention", [(8, 24), (24,)], num_heads=2, unidirectional=1)
    yield contrib("contrib_gelu", "Gelu", [])
    yield contrib("contrib_bias_gelu", "BiasGelu", [(8,)])
    yield contrib("contrib_fast_gelu", "FastGelu", [(8,)])
    yield contrib("contrib_quick_gelu", "QuickGelu", [], alpha=1.5)
    skip = node("SkipLayerNormalization", "x t g b c", domain="com.microsoft", epsilon=1e-3)
    weights = {"g": (8,), "b": (8,), "c": (8,)}
    yield shaped(case("contrib_skip_layer_norm", [node("Tanh", "x", "t"), skip], x, weights, **options), (2, 3, 8))
