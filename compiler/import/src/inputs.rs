//! The model's inputs as encrypted values.

use crate::ImportOptions;
use crate::call::Value;
use crate::error::{Code, Fault};
use crate::lower::{Lowering, Problem, checked_elements};
use crate::model::{Axis, Declared, Model};
use crate::tensor_proto::{Kind, kind_of, shape_from, type_name};
use hec_ir::tensor::Shape;
use std::collections::BTreeSet;

/// Declare all inputs. What is wrong with one stops the import only if it is used.
pub(crate) fn declare(lowering: &mut Lowering, model: &Model, options: &ImportOptions) -> Vec<Problem> {
    let batch_names = batch_names(model);
    let mut problems = Vec::new();
    for input in &model.inputs {
        let shape = shape(input, options, &batch_names);
        let kind = kind_of(input.data_type);
        let known = shape.as_ref().ok().cloned();
        let id = lowering.graph.input(&input.name, known.clone().unwrap_or_else(|| Shape::new([])));
        let value = match (known.is_some(), kind) {
            (false, _) => Value::Unknown(id),
            (true, Some(Kind::Integer)) => Value::Tokens(id),
            (true, _) => Value::Encrypted(id),
        };
        lowering.bind(&input.name, value);
        for fault in [shape.err(), check_type(input, kind).err()].into_iter().flatten() {
            let error = fault.at(&input.name, "input");
            problems.push(Problem { error, position: None, stand_ins: vec![id] });
        }
    }
    problems
}

/// Real numbers are encrypted, integers looked up.
fn check_type(input: &Declared, kind: Option<Kind>) -> Result<(), Fault> {
    if matches!(kind, Some(Kind::Float | Kind::Integer)) {
        return Ok(());
    }
    Err(Fault::new(
        Code::ElementType,
        format!("its elements are {}, and only real numbers are encrypted", type_name(input.data_type)),
        "Export the model with real inputs, or with token ids as int64",
    ))
}

/// Names of first axes: the batch, wherever else they stand.
fn batch_names(model: &Model) -> BTreeSet<&str> {
    fn name(input: &Declared) -> Option<&str> {
        match input.axes.as_ref()?.first()? {
            Axis::Dynamic(name) if !name.is_empty() => Some(name.as_str()),
            _ => None,
        }
    }
    model.inputs.iter().filter_map(name).collect()
}

fn shape(input: &Declared, options: &ImportOptions, batch_names: &BTreeSet<&str>) -> Result<Shape, Fault> {
    let unknown = |reason: String| {
        Fault::new(Code::DynamicAxis, reason, "Export the model with that axis fixed (only the batch may be dynamic)")
    };
    let axes = input.axes.as_ref().ok_or_else(|| unknown("its shape is not declared".to_owned()))?;
    let batch = i64::try_from(options.batch).unwrap_or(i64::MAX);
    let mut dims = Vec::with_capacity(axes.len());
    for (position, axis) in axes.iter().enumerate() {
        dims.push(match axis {
            Axis::Fixed(extent) => *extent,
            Axis::Dynamic(name) if position == 0 || batch_names.contains(name.as_str()) => batch,
            Axis::Dynamic(name) if name.is_empty() => {
                return Err(unknown(format!("axis {position} has no fixed extent")));
            }
            Axis::Dynamic(name) => return Err(unknown(format!("axis {position} (\"{name}\") has no fixed extent"))),
        });
    }
    if let (Some(Axis::Fixed(fixed)), true) = (axes.first(), options.batch != 1)
        && *fixed != batch
    {
        return Err(Fault::new(
            Code::DynamicAxis,
            format!("a batch of {} was asked for, but its first axis is fixed to {fixed}", options.batch),
            "Export the model with a dynamic first axis, or compile it without a batch",
        ));
    }
    let shape = shape_from(&dims)?;
    checked_elements(&shape)?;
    Ok(shape)
}
