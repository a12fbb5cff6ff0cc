//! The operators: one table that the walk dispatches on and the documentation is made from.

use crate::call::{Call, Value};
use crate::error::{Code, Fault};
use crate::lower::Lowering;
use crate::model::Node;
use crate::{affine, attention, contrib, einsum, elementwise, fold, matrix, movement, rows, window};
use Rules::{Both, Constant, Data, Elementwise};
use Treatment::{Approximated, Constant as OnConstants, Exact};

/// What the compiler does with an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Computed as it is.
    Exact,
    /// Replaced by a polynomial.
    Approximated,
    /// Left to the client.
    Client,
    /// Only on constants and shapes, while compiling; or as a part of a recognised activation.
    Constant,
}

type Rule = fn(&mut Lowering, &Call) -> Result<Vec<Value>, Fault>;

#[derive(Clone, Copy)]
enum Rules {
    /// Evaluated on numbers when constant; looked at for patterns otherwise.
    Elementwise,
    /// On encrypted data; on constants by the same rule and the interpreter.
    Data(Rule),
    /// On constants only.
    Constant(Rule),
    /// On constants, and on encrypted data.
    Both(Rule, Rule),
}

/// A supported operator.
#[derive(Clone, Copy)]
pub struct Operator {
    /// The ONNX name.
    pub name: &'static str,
    /// What is done with it.
    pub treatment: Treatment,
    /// Which forms are supported, for people. Empty: all.
    pub limits: &'static str,
    rules: Rules,
}

impl Operator {
    /// Whether it may follow what is left to the client, because it changes no numbers or is left too.
    pub(crate) fn passes_client(&self) -> bool {
        matches!(self.name, "Identity" | "Dropout" | "Cast" | "Softmax")
    }

    /// Whether it is a function of each element.
    pub(crate) fn is_elementwise(&self) -> bool {
        matches!(self.rules, Elementwise)
    }

    /// How it is computed on constants, if not by interpretation.
    pub(crate) fn fold(&self) -> Option<Rule> {
        match self.rules {
            Constant(rule) | Both(rule, _) => Some(rule),
            _ => None,
        }
    }

    /// Add it to the graph.
    pub(crate) fn lower(&self, lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
        match self.rules {
            Elementwise => elementwise::lower(lowering, call),
            Data(rule) | Both(_, rule) => rule(lowering, call),
            Constant(_) => Err(Fault::new(
                Code::Operator,
                "it is only supported on constants, and an input is encrypted",
                advice(self.name),
            )),
        }
    }
}

const fn op(name: &'static str, treatment: Treatment, limits: &'static str, rules: Rules) -> Operator {
    Operator { name, treatment, limits, rules }
}

/// All supported operators, by name.
pub const OPERATORS: &[Operator] = &[
    op("Abs", Approximated, "", Elementwise),
    op("Add", Exact, "", Elementwise),
    op("And", OnConstants, "", Elementwise),
    op("Attention", Approximated, "constant mask, no past", Data(attention::attention)),
    op("AveragePool", Exact, "one or two spatial axes", Data(window::average_pool)),
    op("BatchNormalization", Exact, "inference only", Data(affine::batch_normalization)),
    op("Cast", Exact, "between real types; constants to any type", Both(fold::cast, movement::cast)),
    op("CastLike", Exact, "between real types; constants to any type", Both(fold::cast_like, movement::cast_like)),
    op("Ceil", OnConstants, "", Elementwise),
    op("Celu", Approximated, "", Elementwise),
    op("Clip", Approximated, "", Elementwise),
    op("Concat", Exact, "", Both(fold::concat, movement::concat)),
    op("Constant", OnConstants, "dense numbers", Constant(fold::constant)),
    op("ConstantOfShape", OnConstants, "", Constant(fold::constant_of_shape)),
    op("Conv", Exact, "constant weight, one or two spatial axes", Data(window::conv)),
    op("Cos", Approximated, "", Elementwise),
    op("Div", Exact, "by a constant; by an encrypted value of one sign with an approximated inverse", Elementwise),
    op("Dropout", Exact, "inference only: the identity", Data(movement::dropout)),
    op("Einsum", Exact, "two operands, a matrix product after permutations", Data(einsum::einsum)),
    op("Elu", Approximated, "", Elementwise),
    op("Equal", OnConstants, "", Elementwise),
    op("Erf", Approximated, "", Elementwise),
    op("Exp", Approximated, "", Elementwise),
    op("Expand", Exact, "constant shape", Data(movement::expand)),
    op("Flatten", Exact, "", Data(movement::flatten)),
    op("Floor", OnConstants, "", Elementwise),
    op("Gather", Exact, "constant indices", Data(movement::gather)),
    op("Gelu", Approximated, "", Elementwise),
    op("Gemm", Exact, "", Data(matrix::gemm)),
    op("GlobalAveragePool", Exact, "", Data(window::global_average_pool)),
    op("GlobalMaxPool", Approximated, "one or two spatial axes", Data(window::global_max_pool)),
    op("Greater", OnConstants, "", Elementwise),
    op("GreaterOrEqual", OnConstants, "", Elementwise),
    op("HardSigmoid", Approximated, "", Elementwise),
    op("HardSwish", Approximated, "", Elementwise),
    op("Identity", Exact, "", Data(movement::identity)),
    op("IsInf", OnConstants, "", Data(contrib::is_nan)),
    op("IsNaN", OnConstants, "", Data(contrib::is_nan)),
    op(
        "LayerNormalization",
        Approximated,
        "constant scale and shift, first result only",
        Data(rows::layer_normalization),
    ),
    op("LeakyRelu", Approximated, "", Elementwise),
    op("Less", OnConstants, "", Elementwise),
    op("LessOrEqual", OnConstants, "", Elementwise),
    op("Log", Approximated, "positive inputs", Elementwise),
    op("LpNormalization", Approximated, "p = 2", Data(rows::lp_normalization)),
    op("MatMul", Exact, "", Data(matrix::matmul)),
    op("Max", Approximated, "", Elementwise),
    op("MaxPool", Approximated, "one or two spatial axes, no dilation, no indices", Data(window::max_pool)),
    op("Mean", Exact, "", Elementwise),
    op("Min", Approximated, "", Elementwise),
    op("Mish", Approximated, "", Elementwise),
    op("Mod", OnConstants, "", Elementwise),
    op("Mul", Exact, "", Elementwise),
    op("Neg", Exact, "", Elementwise),
    op("Not", OnConstants, "", Elementwise),
    op("Or", OnConstants, "", Elementwise),
    op("PRelu", Approximated, "constant slopes", Elementwise),
    op("Pad", Exact, "mode constant", Data(movement::pad)),
    op("Pow", Exact, "whole exponents up to 64; other exponents, and constant bases, are approximated", Elementwise),
    op("RMSNormalization", Approximated, "constant scale", Data(rows::rms_normalization)),
    op("Range", OnConstants, "", Constant(fold::range)),
    op("Reciprocal", Approximated, "inputs of one sign", Elementwise),
    op("ReduceL1", Approximated, "constant axes", Data(affine::reduce_l1)),
    op("ReduceL2", Approximated, "constant axes", Data(affine::reduce_l2)),
    op("ReduceMean", Exact, "constant axes", Data(affine::reduce_mean)),
    op("ReduceSum", Exact, "constant axes", Data(affine::reduce_sum)),
    op("ReduceSumSquare", Exact, "constant axes", Data(affine::reduce_sum_square)),
    op("Relu", Approximated, "", Elementwise),
    op("Reshape", Exact, "constant shape", Data(movement::reshape)),
    op("Round", OnConstants, "", Elementwise),
    op("Selu", Approximated, "", Elementwise),
    op("Shape", OnConstants, "", Both(movement::shape_of, movement::shape_of)),
    op("Shrink", Approximated, "", Elementwise),
    op("Sigmoid", Approximated, "", Elementwise),
    op("Sign", Approximated, "", Elementwise),
    op("Sin", Approximated, "", Elementwise),
    op("Size", OnConstants, "", Both(movement::size_of, movement::size_of)),
    op("Slice", Exact, "constant bounds", Data(movement::slice)),
    op("Softmax", Approximated, "left to the client as the last layer", Data(rows::softmax)),
    op("Softplus", Approximated, "", Elementwise),
    op("Softsign", Approximated, "", Elementwise),
    op("Split", Exact, "constant sizes", Data(movement::split)),
    op("Sqrt", Approximated, "inputs from 0 on", Elementwise),
    op("Squeeze", Exact, "", Data(movement::squeeze)),
    op("Sub", Exact, "", Elementwise),
    op("Sum", Exact, "", Elementwise),
    op("Swish", Approximated, "", Elementwise),
    op("Tanh", Approximated, "", Elementwise),
    op("ThresholdedRelu", Approximated, "", Elementwise),
    op("Transpose", Exact, "", Data(movement::transpose)),
    op("Unsqueeze", Exact, "", Data(movement::unsqueeze)),
    op("Where", Exact, "constant condition", Elementwise),
    op("Xor", OnConstants, "", Elementwise),
];

/// Operators of onnxruntime, in the domain com.microsoft, by name.
pub const CONTRIB: &[Operator] = &[
    op("Attention", Approximated, "constant mask, no past", Data(attention::projected_attention)),
    op("BiasGelu", Approximated, "constant bias", Data(contrib::bias_gelu)),
    op("FastGelu", Approximated, "constant bias", Data(contrib::fast_gelu)),
    op("Gelu", Approximated, "", Elementwise),
    op("QuickGelu", Approximated, "", Data(contrib::quick_gelu)),
    op("SkipLayerNormalization", Approximated, "constant scale and shift", Data(contrib::skip_layer_normalization)),
    op(
        "SkipSimplifiedLayerNormalization",
        Approximated,
        "constant scale",
        Data(contrib::skip_simplified_layer_normalization),
    ),
];

/// What to do about operators that encrypted values do not have.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["Where", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"],
        "Truth values have no encrypted form: write the choice with Relu, Abs, Sign, Min, Max or Clip",
    ),
    (
        &["ArgMax", "ArgMin", "TopK", "NonZero", "NonMaxSuppression", "Hardmax", "LogSoftmax"],
        "Cut the model before it: the client computes it from the decrypted result",
    ),
    (&["Floor", "Ceil", "Round", "Mod"], "It jumps everywhere, and no polynomial does: leave the rounding out"),
    (
        &["InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN", "MeanVarianceNormalization"],
        "It divides by a deviation of encrypted values: retrain with BatchNormalization",
    ),
    (
        &["MultiHeadAttention", "GroupQueryAttention", "PackedAttention", "RotaryEmbedding", "GatherBlockQuantized"],
        "Export the model without fusing attention, so that it consists of MatMul, Softmax and arithmetic",
    ),
    (&["LSTM", "GRU", "RNN", "Scan", "Loop", "If", "SequenceMap"], "Unroll loops and remove branches when exporting"),
    (
        &[
            "ConvTranspose",
            "Resize",
            "Upsample",
            "GridSample",
            "DepthToSpace",
            "SpaceToDepth",
            "Tile",
            "ScatterND",
            "ScatterElements",
            "GatherElements",
            "GatherND",
            "CumSum",
        ],
        "Rewrite it with Conv, MatMul, Reshape, Transpose, Slice, Pad and Concat",
    ),
    (
        &[
            "QuantizeLinear",
            "DequantizeLinear",
            "DynamicQuantizeLinear",
            "QLinearConv",
            "QLinearMatMul",
            "ConvInteger",
            "MatMulInteger",
        ],
        "Export the float model before quantization",
    ),
    (
        &["ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp", "LpPool", "GlobalLpPool"],
        "Use ReduceMean, ReduceSum or average pooling",
    ),
];

/// What to do about an unsupported operator.
pub(crate) fn advice(name: &str) -> &'static str {
    let special = ADVICE.iter().find(|(names, _)| names.contains(&name)).map(|(_, advice)| *advice);
    special.unwrap_or("Rewrite the layer with supported operators; `hec check` lists every problem of the model")
}

/// Operators that give the shape of their first input, supported or not.
pub(crate) fn keeps_first_shape(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "BatchNormalization",
        "Cast",
        "CastLike",
        "Dropout",
        "GroupNormalization",
        "Hardmax",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
        "Softmax",
    ];
    NAMES.contains(&name)
}

/// Operators that give the shape that all their inputs broadcast to.
pub(crate) fn broadcasts(name: &str) -> bool {
    OPERATORS.iter().any(|o| o.name == name && o.is_elementwise())
}

/// The table's entry for a node.
pub(crate) fn find(node: &Node) -> Result<&'static Operator, Fault> {
    let table = match node.domain.as_str() {
        "" => OPERATORS,
        "com.microsoft" => CONTRIB,
        _ => &[],
    };
    let found = table.iter().find(|o| o.name == node.operator);
    found.ok_or_else(|| {
        let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
        Fault::new(
            Code::Operator,
            format!("operator {domain}{} is not supported", node.operator),
            advice(&node.operator),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_without_repetition() {
        for table in [OPERATORS, CONTRIB] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
    }
}
