//! Token ids: integers that the client looks up in a table before encryption.

use crate::call::{Call, Value, axis_index};
use crate::error::{Code, Fault};
use crate::lower::{Lowering, checked_elements};
use crate::operators::Operator;
use crate::tensor_proto::{Kind, kind_of};
use hec_ir::tensor::{Op, Shape, ValueId};

/// Operators that move ids and change none.
const MOVES: &[&str] = &["Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];

/// An operator one of whose inputs holds ids.
pub(crate) fn lower(lowering: &mut Lowering, operator: &Operator, call: &Call) -> Result<Vec<Value>, Fault> {
    match (operator.name, call.value(0)?) {
        ("Shape" | "Size", _) => operator.lower(lowering, call),
        ("Gather", Value::Constant(_)) => match call.value(1)? {
            Value::Tokens(ids) => lookup(lowering, call, *ids),
            _ => Err(misuse()),
        },
        ("Cast", Value::Tokens(_)) => match i32::try_from(call.int("to", 0)?).ok().and_then(kind_of) {
            Some(Kind::Integer) => Ok(vec![call.value(0)?.clone()]),
            _ => Err(misuse()),
        },
        (name, Value::Tokens(ids)) if MOVES.contains(&name) => {
            let mut inputs = call.inputs.clone();
            inputs[0] = Some(Value::Encrypted(*ids));
            let moved = operator.lower(lowering, &Call { inputs, ..*call })?;
            let still_ids = |value| match value {
                Value::Encrypted(id) => Value::Tokens(id),
                other => other,
            };
            Ok(moved.into_iter().map(still_ids).collect())
        }
        _ => Err(misuse()),
    }
}

/// Rows of a constant table.
fn lookup(lowering: &mut Lowering, call: &Call, ids: ValueId) -> Result<Vec<Value>, Fault> {
    let table = call.constant(0)?;
    if axis_index(call.int("axis", 0)?, table.tensor.shape.rank())? != 0 {
        return Err(Fault::form("it looks up ids along another axis than the first", "Transpose the table"));
    }
    let row = table.tensor.shape.dims().get(1..).unwrap_or_default();
    checked_elements(&Shape::new([lowering.graph.shape(ids).dims(), row].concat()))?;
    let table = lowering.constant(&table.name, table.tensor.clone())?;
    Ok(vec![Value::Encrypted(lowering.push(Op::Lookup { table }, [ids])?)])
}

/// What is not a look-up.
pub(crate) fn misuse() -> Fault {
    Fault::new(
        Code::ElementType,
        "it computes with an integer input, of which only look-ups in constant tables are supported",
        "Give token ids to the embedding alone; fix positions, types and attention masks when exporting",
    )
}
