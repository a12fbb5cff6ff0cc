"""Linear layers, normalisation, activations and pooling."""

import numpy as np

from build import NEWEST, case, node, one, random


def cases():
    yield from gemm()
    yield from matmul()
    yield from conv()
    yield from batch_normalization()
    yield from activations()
    yield from softmax()
    yield from average_pool()
    yield from max_pool()
    yield from reduce_mean()


def gemm():
    yield one("gemm", "Gemm", (1, 4), (4, 3), (3,))
    yield one("gemm_no_bias", "Gemm", (1, 4), (4, 3))
    yield one("gemm_trans_b", "Gemm", (1, 4), (3, 4), (3,), transB=1)
    yield one("gemm_trans_a", "Gemm", (4, 2), (4, 3), (3,), transA=1)
    yield one("gemm_trans_both", "Gemm", (4, 2), (3, 4), (2, 3), transA=1, transB=1)
    yield one("gemm_alpha_beta", "Gemm", (2, 4), (4, 3), (3,), alpha=0.5, beta=-2.0)
    yield one("gemm_beta_zero", "Gemm", (1, 4), (4, 3), (3,), beta=0.0)
    yield one("gemm_bias_scalar", "Gemm", (2, 4), (4, 3), random("gemm_bias_scalar"))
    yield one("gemm_bias_column", "Gemm", (2, 4), (4, 3), (2, 1))
    yield case("gemm_constant_left", [node("Gemm", "w x b", transA=1)], {"x": (4, 3)}, {"w": (4, 2), "b": (3,)})
    yield case(
        "gemm_input_as_bias", [node("Gemm", "v w x", alpha=2.0, beta=0.5)], {"x": (2, 3)}, {"v": (2, 4), "w": (4, 3)}
    )


def matmul():
    yield one("matmul", "MatMul", (2, 4), (4, 3))
    yield one("matmul_batched_left", "MatMul", (2, 3, 4), (4, 5))
    yield one("matmul_batched_left_4d", "MatMul", (1, 2, 3, 4), (4, 2))
    yield one("matmul_batched_both", "MatMul", (2, 3, 4), (2, 4, 5))
    yield one("matmul_broadcast_batch", "MatMul", (1, 3, 4), (2, 4, 5))
    yield one("matmul_vector_left", "MatMul", (4,), (4, 3))
    yield one("matmul_vector_right", "MatMul", (2, 4), (4,))
    yield case("matmul_constant_left", [node("MatMul", "w x")], {"x": (4, 3)}, {"w": (2, 4)})


def conv():
    yield one("conv", "Conv", (1, 2, 5, 5), (3, 2, 3, 3), (3,))
    yield one("conv_no_bias", "Conv", (1, 2, 5, 5), (3, 2, 3, 3))
    yield one("conv_batch", "Conv", (2, 2, 4, 4), (2, 2, 3, 3), (2,), pads=[1, 1, 1, 1])
    yield one("conv_1x1", "Conv", (1, 3, 4, 4), (2, 3, 1, 1), (2,))
    yield one("conv_stride", "Conv", (1, 2, 6, 7), (2, 2, 3, 3), (2,), strides=[2, 3], kernel_shape=[3, 3])
    yield one("conv_pads_asymmetric", "Conv", (1, 1, 4, 5), (2, 1, 3, 2), (2,), pads=[0, 1, 2, 0], strides=[1, 2])
    yield one("conv_pads_wider_than_kernel", "Conv", (1, 1, 3, 3), (1, 1, 2, 2), pads=[3, 3, 3, 3])
    yield one("conv_dilation", "Conv", (1, 1, 7, 6), (2, 1, 3, 2), (2,), dilations=[2, 3])
    yield one(
        "conv_dilation_stride_pads",
        "Conv",
        (1, 2, 7, 7),
        (2, 2, 3, 3),
        dilations=[2, 2],
        strides=[2, 2],
        pads=[2, 1, 1, 2],
    )
    yield one("conv_groups", "Conv", (1, 4, 4, 4), (6, 2, 3, 3), (6,), group=2, pads=[1, 1, 1, 1])
    yield one("conv_depthwise", "Conv", (1, 3, 5, 5), (3, 1, 3, 3), (3,), group=3, strides=[2, 2])
    yield one("conv_depthwise_multiplier", "Conv", (1, 2, 4, 4), (4, 1, 3, 3), group=2)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield one(
            f"conv_{auto_pad.lower()}", "Conv", (1, 1, 5, 6), (2, 1, 2, 3), (2,), auto_pad=auto_pad, strides=[2, 2]
        )
    yield one("conv_1d", "Conv", (1, 2, 8), (3, 2, 3), (3,), strides=[2], pads=[1, 0])
    yield one("conv_1d_dilation", "Conv", (1, 2, 9), (2, 2, 3), dilations=[3])
    yield one("conv_3d", "Conv", (1, 1, 3, 4, 3), (2, 1, 2, 2, 2), (2,))


def batch_normalization():
    for opset in (7, 9, 14, 15, NEWEST):
        name = f"batch_normalization_opset{opset}"
        variance = np.abs(random(f"{name}/variance", 3)) + np.float32(0.1)
        options = {"opset": opset, "epsilon": 1e-3, "confirm": opset >= 14}
        yield one(name, "BatchNormalization", (1, 3, 2, 2), (3,), (3,), (3,), variance, **options)
    variance = np.abs(random("batch_normalization_2d/variance", 4)) + np.float32(0.1)
    yield one("batch_normalization_2d", "BatchNormalization", (2, 4), (4,), (4,), (4,), variance)


def activations():
    shape = (1, 2, 3, 3)
    yield one("relu", "Relu", shape)
    yield one("leaky_relu", "LeakyRelu", shape, alpha=0.2)
    yield one("leaky_relu_default", "LeakyRelu", shape)
    yield one("sigmoid", "Sigmoid", shape)
    yield one("tanh", "Tanh", shape)
    yield one("gelu", "Gelu", shape, opset=20)
    yield one("gelu_none", "Gelu", shape, opset=20, approximate="none")
    yield one("gelu_tanh", "Gelu", shape, opset=20, approximate="tanh")
    yield from gelu_decomposed()
    yield case("silu", [node("Sigmoid", "x", "s"), node("Mul", "x s")], {"x": shape})
    yield case("silu_swapped", [node("Sigmoid", "x", "s"), node("Mul", "s x")], {"x": shape})
    gate = [node("Conv", "x v", "a"), node("Conv", "x w", "b"), node("Sigmoid", "b", "s"), node("Mul", "a s")]
    yield case("sigmoid_gate", gate, {"x": (1, 2, 2, 2)}, {"v": (2, 2, 1, 1), "w": (2, 2, 1, 1)})


def gelu_decomposed():
    half, one_, root = np.float32(0.5), np.float32(1), np.float32(np.sqrt(2))
    erf = [node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c")]
    constants = {"root": root, "one": one_, "half": half}
    x = {"x": (2, 5)}
    yield case("gelu_erf", [*erf, node("Mul", "x c", "d"), node("Mul", "d half")], x, constants)
    yield case("gelu_erf_half_first", [*erf, node("Mul", "half x", "d"), node("Mul", "d c")], x, constants)
    yield case("gelu_erf_half_inside", [*erf, node("Mul", "c half", "d"), node("Mul", "d x")], x, constants)
    reciprocal = [node("Mul", "x inverse", "a"), node("Erf", "a", "b"), node("Add", "one b", "c")]
    nodes = [*reciprocal, node("Mul", "x c", "d"), node("Mul", "half d")]
    yield case("gelu_erf_reciprocal", nodes, x, {"inverse": one_ / root, "one": one_, "half": half})
    tanh = [
        node("Pow", "x three", "cube"),
        node("Mul", "cube k", "e"),
        node("Add", "x e", "f"),
        node("Mul", "f scale", "g"),
        node("Tanh", "g", "t"),
        node("Add", "t one", "c"),
        node("Mul", "x c", "d"),
        node("Mul", "d half"),
    ]
    scale = {"three": np.float32(3), "k": np.float32(0.044715), "scale": np.float32(np.sqrt(2 / np.pi))}
    yield case("gelu_tanh_decomposed", tanh, x, {**scale, "one": one_, "half": half})


def softmax():
    yield one("softmax_only", "Softmax", (1, 5))
    fc = [node("Gemm", "x w b", "logits"), node("Softmax", "logits")]
    weights = {"w": (4, 5), "b": (5,)}
    yield case("softmax", fc, {"x": (2, 4)}, weights)
    yield case("softmax_opset11", fc, {"x": (2, 4)}, weights, opset=11)
    nodes = [node("Gemm", "x w b", "logits"), node("Softmax", "logits", "p", axis=1), node("Identity", "p")]
    yield case("softmax_identity", nodes, {"x": (1, 4)}, weights)


def average_pool():
    yield one("average_pool", "AveragePool", (1, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2])
    yield one("average_pool_default_strides", "AveragePool", (1, 1, 4, 4), kernel_shape=[2, 3])
    for include in (0, 1):
        name = f"average_pool_pads_include{include}"
        yield one(
            name,
            "AveragePool",
            (1, 1, 4, 5),
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 0, 1, 2],
            count_include_pad=include,
        )
        name = f"average_pool_ceil_include{include}"
        yield one(
            name,
            "AveragePool",
            (1, 1, 5, 6),
            kernel_shape=[2, 3],
            strides=[2, 2],
            ceil_mode=1,
            count_include_pad=include,
            opset=NEWEST,
        )
    yield one(
        "average_pool_same_upper",
        "AveragePool",
        (1, 1, 5, 5),
        kernel_shape=[2, 2],
        strides=[2, 2],
        auto_pad="SAME_UPPER",
    )
    yield one(
        "average_pool_same_lower",
        "AveragePool",
        (1, 1, 5, 5),
        kernel_shape=[2, 2],
        strides=[2, 2],
        auto_pad="SAME_LOWER",
    )
    yield one("average_pool_dilation", "AveragePool", (1, 1, 6, 6), kernel_shape=[2, 2], dilations=[2, 3], opset=19)
    yield one("average_pool_1d", "AveragePool", (1, 2, 7), kernel_shape=[3], strides=[2])
    yield one("average_pool_opset7", "AveragePool", (1, 1, 4, 4), kernel_shape=[2, 2], strides=[2, 2], opset=7)
    yield one("global_average_pool", "GlobalAveragePool", (1, 3, 3, 4))
    yield one("global_average_pool_1d", "GlobalAveragePool", (2, 2, 5))


def max_pool():
    yield one("max_pool", "MaxPool", (1, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2])
    yield one("max_pool_overlapping", "MaxPool", (1, 1, 5, 5), kernel_shape=[3, 3], strides=[2, 2])
    yield one("max_pool_pads", "MaxPool", (1, 1, 4, 4), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    yield one("max_pool_ceil", "MaxPool", (1, 1, 5, 5), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield one("max_pool_1d", "MaxPool", (1, 2, 6), kernel_shape=[2], strides=[2])


def reduce_mean():
    shape = (2, 3, 4, 5)
    for keep in (0, 1):
        yield one(f"reduce_mean_attribute_keep{keep}", "ReduceMean", shape, axes=[2, 3], keepdims=keep, opset=13)
        axes = np.array([-1, 1], np.int64)
        yield one(f"reduce_mean_input_keep{keep}", "ReduceMean", shape, axes, keepdims=keep, opset=18)
    yield one("reduce_mean_attribute_negative", "ReduceMean", shape, axes=[-2], opset=11)
    yield one("reduce_mean_attribute_all", "ReduceMean", (1, 3, 4), opset=13)
    yield one("reduce_mean_input_all", "ReduceMean", (1, 3, 4), opset=18, keepdims=0)
    yield one("reduce_mean_noop", "ReduceMean", (1, 3, 4), opset=18, noop_with_empty_axes=1)
