//! Operators that move elements: reshaping, permuting, cutting, padding, joining.

use crate::call::{Call, Constant, Value, axis_index, axis_indices, natural};
use crate::error::Fault;
use crate::lower::{Lowering, checked_elements};
use crate::tensor_proto::{Kind, kind_of, shape_from, type_name};
use hec_ir::tensor::{LinearStep, Op, Shape, Tensor, ValueId};
use std::sync::Arc;

type Values = Result<Vec<Value>, Fault>;

fn reshape_to(lowering: &mut Lowering, x: ValueId, dims: Vec<usize>) -> Values {
    let shape = Shape::new(dims);
    checked_elements(&shape)?;
    Ok(vec![Value::Encrypted(lowering.linear(x, vec![LinearStep::Reshape { shape }])?)])
}

/// The value itself, whatever it is.
pub(crate) fn identity(_: &mut Lowering, call: &Call) -> Values {
    Ok(vec![call.value(0)?.clone()])
}

pub(crate) fn dropout(_: &mut Lowering, call: &Call) -> Values {
    match call.optional(2)?.and_then(Constant::uniform) {
        None | Some(0.0) => Ok(vec![call.value(0)?.clone()]),
        Some(_) => Err(Fault::form("it is in training mode", "Export the model for inference (`model.eval()`)")),
    }
}

pub(crate) fn cast(_: &mut Lowering, call: &Call) -> Values {
    let to = call.int("to", 0)?;
    match i32::try_from(to).ok().and_then(kind_of) {
        Some(Kind::Float) => Ok(vec![call.value(0)?.clone()]),
        _ => Err(Fault::form(
            format!("an encrypted value is cast to {}", type_name(i32::try_from(to).unwrap_or(0))),
            "Encrypted values are real numbers: remove the cast",
        )),
    }
}

pub(crate) fn cast_like(_: &mut Lowering, call: &Call) -> Values {
    match call.value(1)? {
        Value::Constant(c) if c.kind != Kind::Float => {
            Err(Fault::form("an encrypted value is cast to integers", "Encrypted values are real numbers"))
        }
        _ => Ok(vec![call.value(0)?.clone()]),
    }
}

/// The static shape, or a part of it, as a constant.
pub(crate) fn shape_of(lowering: &mut Lowering, call: &Call) -> Values {
    let dims: Vec<f64> = value_shape(lowering, call)?.dims().iter().map(|&d| d as f64).collect();
    let rank = dims.len() as i64;
    let clamp = |axis: i64| (if axis < 0 { axis + rank } else { axis }).clamp(0, rank) as usize;
    let (start, end) = (clamp(call.int("start", 0)?), clamp(call.int("end", rank)?));
    let data = dims.get(start..end.max(start)).unwrap_or_default().to_vec();
    let tensor = Tensor { shape: Shape::new([data.len()]), data };
    Ok(vec![Value::Constant(Constant::new(&call.node.name, tensor, Kind::Integer))])
}

pub(crate) fn size_of(lowering: &mut Lowering, call: &Call) -> Values {
    let tensor = Tensor::scalar(value_shape(lowering, call)?.elements() as f64);
    Ok(vec![Value::Constant(Constant::new(&call.node.name, tensor, Kind::Integer))])
}

fn value_shape(lowering: &Lowering, call: &Call) -> Result<Shape, Fault> {
    match call.value(0)? {
        Value::Constant(c) => Ok(c.tensor.shape.clone()),
        Value::Encrypted(id) | Value::Tokens(id) | Value::Client(id, _) | Value::Unknown(id) => {
            Ok(lowering.graph.shape(*id).clone())
        }
    }
}

pub(crate) fn reshape(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let wanted = call.integers(1, "shape")?.ok_or_else(|| Fault::malformed("the new shape is missing"))?;
    let keep_zero = call.int("allowzero", 0)? != 0;
    let from = lowering.graph.shape(x).clone();
    let mut dims = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (axis, &extent) in wanted.iter().enumerate() {
        dims.push(match extent {
            0 if !keep_zero => *from.dims().get(axis).ok_or_else(|| Fault::shape("a 0 stands for no axis"))?,
            -1 if rest.replace(axis).is_none() => 1,
            _ => natural(extent, "extent")?,
        });
    }
    if let Some(axis) = rest {
        let known = checked_elements(&Shape::new(dims.clone()))?;
        dims[axis] = from.elements() / known;
    }
    reshape_to(lowering, x, dims)
}

pub(crate) fn flatten(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let dims = lowering.graph.shape(x).dims().to_vec();
    let axis = call.axis(1, dims.len(), true)?;
    reshape_to(lowering, x, vec![dims[..axis].iter().product(), dims[axis..].iter().product()])
}

pub(crate) fn squeeze(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let dims = lowering.graph.shape(x).dims().to_vec();
    let axes = match call.integers(1, "axes")? {
        Some(axes) => axis_indices(&axes, dims.len())?,
        None => (0..dims.len()).filter(|&a| dims[a] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&a| dims[a] != 1) {
        return Err(Fault::shape(format!("axis {axis} has extent {}, not 1", dims[axis])));
    }
    reshape_to(lowering, x, (0..dims.len()).filter(|a| !axes.contains(a)).map(|a| dims[a]).collect())
}

pub(crate) fn unsqueeze(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let dims = lowering.graph.shape(x).dims().to_vec();
    let axes = call.integers(1, "axes")?.ok_or_else(|| Fault::malformed("axes is missing"))?;
    let rank = dims.len() + axes.len();
    let axes = axis_indices(&axes, rank)?;
    let mut old = dims.into_iter();
    reshape_to(lowering, x, (0..rank).map(|a| if axes.contains(&a) { 1 } else { old.next().unwrap_or(1) }).collect())
}

pub(crate) fn transpose(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let rank = lowering.graph.shape(x).rank();
    let permutation = match call.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.iter().map(|&a| axis_index(a, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    Ok(vec![Value::Encrypted(lowering.linear(x, vec![LinearStep::Transpose { permutation }])?)])
}

/// Repeat axes of extent 1.
pub(crate) fn expand(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let shape = shape_from(&call.constant(1)?.integers())?;
    Ok(vec![Value::Encrypted(lowering.expand_for(x, &shape)?)])
}

/// A box being cut out of a tensor.
struct Cut {
    starts: Vec<usize>,
    steps: Vec<i64>,
    extents: Vec<usize>,
}

impl Cut {
    fn whole(shape: &Shape) -> Cut {
        let rank = shape.rank();
        Cut { starts: vec![0; rank], steps: vec![1; rank], extents: shape.dims().to_vec() }
    }

    fn range(mut self, axis: usize, start: usize, extent: usize) -> Cut {
        (self.starts[axis], self.extents[axis]) = (start, extent);
        self
    }

    fn step(self) -> LinearStep {
        LinearStep::Slice { starts: self.starts, steps: self.steps, extents: self.extents }
    }
}

pub(crate) fn slice(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    let missing = || Fault::malformed("starts or ends is missing");
    let starts = call.integers(1, "starts")?.ok_or_else(missing)?;
    let ends = call.integers(2, "ends")?.ok_or_else(missing)?;
    let axes = call.integers(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.optional(4)?.map_or_else(|| vec![1; starts.len()], Constant::integers);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(Fault::malformed("starts, ends, axes and steps differ in number"));
    }
    axis_indices(&axes, shape.rank())?;
    let mut cut = Cut::whole(&shape);
    for (i, &axis) in axes.iter().enumerate() {
        let axis = axis_index(axis, shape.rank())?;
        let (start, extent) = slice_axis(starts[i], ends[i], steps[i], shape.dims()[axis] as i64)?;
        cut = cut.range(axis, start, extent);
        cut.steps[axis] = if extent == 1 { 1 } else { steps[i] };
    }
    Ok(vec![Value::Encrypted(lowering.linear(x, vec![cut.step()])?)])
}

/// First index and number of elements of a slice along an axis; bounds are clamped, as the specification says.
fn slice_axis(start: i64, end: i64, step: i64, size: i64) -> Result<(usize, usize), Fault> {
    if step == 0 {
        return Err(Fault::malformed("a step is zero"));
    }
    let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = match step > 0 {
        true => (from_end(start).clamp(0, size), from_end(end).clamp(0, size)),
        false => (from_end(start).clamp(0, size - 1), from_end(end).clamp(-1, size - 1)),
    };
    let distance = if step > 0 { end - start } else { start - end };
    if distance <= 0 {
        return Err(Fault::shape("the slice is empty"));
    }
    Ok((start as usize, (distance as u64).div_ceil(step.unsigned_abs()) as usize))
}

pub(crate) fn split(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    let axis = call.axis(0, shape.rank(), false)?;
    let (size, parts) = (shape.dims()[axis], call.node.outputs.len());
    let sizes = match call.integers(1, "split")? {
        Some(sizes) => sizes.iter().map(|&s| natural(s, "split")).collect::<Result<Vec<_>, _>>()?,
        // Equal parts, of which the last may be smaller.
        None => {
            let each = size.div_ceil(parts.max(1));
            (0..parts).map(|i| each.min(size.saturating_sub(i * each))).collect()
        }
    };
    if sizes.len() != parts || sizes.iter().sum::<usize>() != size {
        return Err(Fault::shape(format!("parts of {sizes:?} do not make up axis {axis} of extent {size}")));
    }
    let mut start = 0;
    let mut values = Vec::with_capacity(parts);
    for part in sizes {
        let cut = Cut::whole(&shape).range(axis, start, part);
        values.push(Value::Encrypted(lowering.linear(x, vec![cut.step()])?));
        start += part;
    }
    Ok(values)
}

/// Rows by constant indices: a slice if they are evenly spaced, else a product with a selection matrix.
pub(crate) fn gather(lowering: &mut Lowering, call: &Call) -> Values {
    let Value::Constant(indices) = call.value(1)? else {
        return Err(Fault::form(
            "it looks up rows by encrypted indices",
            "Let the client look up the embeddings, and start the model after the look-up",
        ));
    };
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    let axis = call.axis(0, shape.rank(), false)?;
    let size = shape.dims()[axis];
    let rows = indices.integers().iter().map(|&i| axis_index(i, size)).collect::<Result<Vec<_>, _>>()?;
    let result = [&shape.dims()[..axis], indices.tensor.shape.dims(), &shape.dims()[axis + 1..]].concat();
    let mut steps = match even_step(&rows) {
        Some(step) => {
            let mut cut = Cut::whole(&shape).range(axis, rows[0], rows.len());
            cut.steps[axis] = step;
            vec![cut.step()]
        }
        None => select(lowering, &shape, axis, &rows)?,
    };
    steps.push(LinearStep::Reshape { shape: Shape::new(result) });
    Ok(vec![Value::Encrypted(lowering.linear(x, steps)?)])
}

/// The distance between indices, if it is the same and not zero.
fn even_step(rows: &[usize]) -> Option<i64> {
    match rows {
        [] => None,
        [_] => Some(1),
        [first, second, ..] => {
            let step = *second as i64 - *first as i64;
            let even = rows.windows(2).all(|pair| pair[1] as i64 - pair[0] as i64 == step);
            (step != 0 && even).then_some(step)
        }
    }
}

/// The axis last, times a matrix with a one in each column, and back.
fn select(lowering: &mut Lowering, shape: &Shape, axis: usize, rows: &[usize]) -> Result<Vec<LinearStep>, Fault> {
    let size = shape.dims()[axis];
    let matrix = Shape::new([size, rows.len()]);
    lowering.charge(checked_elements(&matrix)?)?;
    let mut selection = Tensor::filled(matrix, 0.0);
    for (column, &row) in rows.iter().enumerate() {
        selection.data[row * rows.len() + column] = 1.0;
    }
    let weight = lowering.made("selection", selection)?;
    let last = shape.rank() - 1;
    let mut there: Vec<usize> = (0..=last).filter(|&a| a != axis).collect();
    there.push(axis);
    let mut back: Vec<usize> = (0..last).collect();
    back.insert(axis, last);
    Ok(vec![
        LinearStep::Transpose { permutation: there },
        LinearStep::MatMul { weight },
        LinearStep::Transpose { permutation: back },
    ])
}

pub(crate) fn pad(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let mode = call.text("mode", "constant")?;
    if mode != "constant" {
        return Err(Fault::form(format!("padding by mode {mode:?}"), "Use mode \"constant\""));
    }
    let fill = match call.optional(2)? {
        Some(value) => value.uniform().ok_or_else(|| Fault::malformed("the padding value is not a scalar"))?,
        None => call.float("value", 0.0)?,
    };
    let from = lowering.graph.shape(x).clone();
    let [before, after] = pad_amounts(call, from.rank())?;
    // Negative padding cuts.
    let mut cut = Cut::whole(&from);
    for axis in 0..from.rank() {
        let (low, high) = ((-before[axis]).max(0) as usize, (-after[axis]).max(0) as usize);
        let left = from.dims()[axis].checked_sub(low + high).filter(|&n| n > 0);
        cut = cut.range(axis, low, left.ok_or_else(|| Fault::shape("the padding cuts everything away"))?);
    }
    let kept = Shape::new(cut.extents.clone());
    let grow = |amounts: &[i64]| amounts.iter().map(|&n| n.max(0) as usize).collect::<Vec<_>>();
    let (before, after) = (grow(&before), grow(&after));
    let padding = LinearStep::Pad { before: before.clone(), after };
    let mut y = lowering.linear(x, vec![cut.step(), padding])?;
    if fill != 0.0 {
        let shape = lowering.graph.shape(y).clone();
        y = add_outside(lowering, y, fill, &before, &kept, &shape)?;
    }
    Ok(vec![Value::Encrypted(y)])
}

fn pad_amounts(call: &Call, rank: usize) -> Result<[Vec<i64>; 2], Fault> {
    let pads = call.integers(1, "pads")?.ok_or_else(|| Fault::malformed("pads is missing"))?;
    let axes = match call.optional(3)? {
        Some(axes) => axes.integers().iter().map(|&a| axis_index(a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.abs_diff(0) > 1 << 31) {
        return Err(Fault::shape(format!("pads {pads:?} do not fit {rank} axes")));
    }
    let mut amounts = [vec![0; rank], vec![0; rank]];
    for (i, &axis) in axes.iter().enumerate() {
        amounts[0][axis] = pads[i];
        amounts[1][axis] = pads[axes.len() + i];
    }
    Ok(amounts)
}

/// Add a value outside a box.
fn add_outside(
    lowering: &mut Lowering,
    x: ValueId,
    fill: f64,
    before: &[usize],
    kept: &Shape,
    shape: &Shape,
) -> Result<ValueId, Fault> {
    lowering.charge(shape.elements())?;
    let inside =
        |index: &[usize]| (0..index.len()).all(|a| (before[a]..before[a] + kept.dims()[a]).contains(&index[a]));
    let data = shape.indices().map(|index| if inside(&index) { 0.0 } else { fill }).collect();
    let name = format!("{}.padding", lowering.origin().layer());
    lowering.add_constant(x, &name, Arc::new(Tensor { shape: shape.clone(), data }))
}

/// A sum of zero-padded parts; the constant parts are one constant.
pub(crate) fn concat(lowering: &mut Lowering, call: &Call) -> Values {
    let mut parts = Vec::with_capacity(call.inputs.len());
    for index in 0..call.inputs.len() {
        parts.push((call.value(index)?.clone(), part_shape(lowering, call.value(index)?)?));
    }
    let first = parts.first().ok_or_else(|| Fault::malformed("it has no inputs"))?.1.clone();
    let axis = call.axis(1, first.rank(), false)?;
    let alike =
        |s: &Shape| s.rank() == first.rank() && (0..s.rank()).all(|a| a == axis || s.dims()[a] == first.dims()[a]);
    if let Some((_, other)) = parts.iter().find(|(_, s)| !alike(s)) {
        return Err(Fault::shape(format!("shapes {:?} and {:?} do not join", first.dims(), other.dims())));
    }
    let total: usize = parts.iter().map(|(_, s)| s.dims()[axis]).sum();
    let mut dims = first.dims().to_vec();
    dims[axis] = total;
    let whole = Shape::new(dims);
    checked_elements(&whole)?;
    let mut sum = None;
    let mut start = 0;
    for (value, shape) in &parts {
        let size = shape.dims()[axis];
        if let Value::Encrypted(x) = value {
            let padding = |n: usize| (0..whole.rank()).map(|a| if a == axis { n } else { 0 }).collect();
            let step = LinearStep::Pad { before: padding(start), after: padding(total - start - size) };
            let part = lowering.linear(*x, vec![step])?;
            sum = Some(match sum {
                None => part,
                Some(sum) => lowering.push(Op::Add, [sum, part])?,
            });
        }
        start += size;
    }
    let sum = sum.ok_or_else(crate::call::after_client)?;
    Ok(vec![Value::Encrypted(add_constant_parts(lowering, sum, &parts, axis, &whole)?)])
}

fn part_shape(lowering: &Lowering, value: &Value) -> Result<Shape, Fault> {
    match value {
        Value::Constant(c) => Ok(c.tensor.shape.clone()),
        Value::Encrypted(id) => Ok(lowering.graph.shape(*id).clone()),
        Value::Tokens(_) => Err(crate::tokens::misuse()),
        Value::Client(..) | Value::Unknown(_) => Err(crate::call::after_client()),
    }
}

fn add_constant_parts(
    lowering: &mut Lowering,
    sum: ValueId,
    parts: &[(Value, Shape)],
    axis: usize,
    whole: &Shape,
) -> Result<ValueId, Fault> {
    if !parts.iter().any(|(v, _)| matches!(v, Value::Constant(_))) {
        return Ok(sum);
    }
    lowering.charge(whole.elements())?;
    let parts: Vec<Tensor> = parts
        .iter()
        .map(|(value, shape)| match value {
            Value::Constant(c) => c.tensor.as_ref().clone(),
            _ => Tensor::filled(shape.clone(), 0.0),
        })
        .collect();
    let joined = join(&parts.iter().collect::<Vec<_>>(), axis, whole);
    let name = format!("{}.parts", lowering.origin().layer());
    lowering.add_constant(sum, &name, Arc::new(joined))
}

/// Tensors joined along an axis.
pub(crate) fn join(parts: &[&Tensor], axis: usize, whole: &Shape) -> Tensor {
    if whole.elements() == 0 {
        return Tensor { shape: whole.clone(), data: Vec::new() };
    }
    let outer: usize = whole.dims()[..axis].iter().product();
    let mut data = Vec::with_capacity(whole.elements());
    for row in 0..outer {
        for part in parts {
            let each = part.data.len() / outer;
            data.extend_from_slice(&part.data[row * each..(row + 1) * each]);
        }
    }
    Tensor { shape: whole.clone(), data }
}
