//! A look at the wire format before it is parsed.
//!
//! The parser skips groups (an encoding that ONNX never uses) by recursion without a bound, so that a crafted file
//! could exhaust the stack. Here every message that the parser will enter is walked with an explicit stack, and files
//! with groups are refused.

/// Messages of `onnx.proto` that contain others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    /// A tensor type, dense or sparse.
    TensorType,
    /// A sequence or optional type.
    ElementType,
    MapType,
    Shape,
    Annotation,
    Training,
    Function,
    /// A message that contains no others.
    Leaf,
}

impl Message {
    /// What the field with this number contains, if it is a message.
    fn field(self, number: u64) -> Option<Message> {
        use Message::*;
        Some(match (self, number) {
            (Model, 7) => Graph,
            (Model, 20) => Training,
            (Model, 25) => Function,
            (Graph, 1) | (Function, 7) => Node,
            (Graph, 5) | (Attribute, 5 | 10) | (SparseTensor, 1 | 2) => Tensor,
            (Graph, 15) | (Attribute, 22 | 23) => SparseTensor,
            (Graph, 11..=13) | (Function, 12) => ValueInfo,
            (Graph, 14) => Annotation,
            (Node, 5) | (Function, 11) => Attribute,
            (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
            (Attribute, 14 | 15) | (ValueInfo, 2) | (ElementType, 1) | (MapType, 2) => Type,
            (Type, 1 | 8) => TensorType,
            (Type, 4 | 9) => ElementType,
            (Type, 5) => MapType,
            (TensorType, 2) => Shape,
            (Model, 8 | 14) | (Function, 9 | 14) | (Graph, 16) | (Node, 9) | (ValueInfo, 4) => Leaf,
            (Tensor, 3 | 13 | 16) | (Shape, 1) | (Annotation, 2) | (Training, 3 | 4) => Leaf,
            _ => return None,
        })
    }
}

/// Messages inside messages; the parser has the same limit.
const MAX_DEPTH: usize = 100;

/// Check that the bytes are the message, as far as its structure goes, and contain no groups.
pub(crate) fn check(bytes: &[u8], message: Message) -> Result<(), &'static str> {
    let mut at = 0;
    let mut open = vec![(bytes.len(), message)];
    while let Some(&(end, message)) = open.last() {
        if at == end {
            open.pop();
            continue;
        }
        let tag = varint(bytes, &mut at, end)?;
        if tag >> 32 != 0 || tag >> 3 == 0 {
            return Err("a field has no valid number");
        }
        match tag & 7 {
            0 => varint(bytes, &mut at, end).map(drop)?,
            1 => skip(&mut at, 8, end)?,
            5 => skip(&mut at, 4, end)?,
            2 => {
                let length = varint(bytes, &mut at, end)?;
                let start = at;
                skip(&mut at, length, end)?;
                if let Some(inner) = message.field(tag >> 3) {
                    if open.len() == MAX_DEPTH {
                        return Err("messages are nested too deep");
                    }
                    open.push((at, inner));
                    at = start;
                }
            }
            _ => return Err("it contains groups"),
        }
    }
    Ok(())
}

fn skip(at: &mut usize, length: u64, end: usize) -> Result<(), &'static str> {
    let length = usize::try_from(length).ok().filter(|&l| l <= end - *at).ok_or("a field is cut off")?;
    *at += length;
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Result<u64, &'static str> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if *at == end {
            return Err("a number is cut off");
        }
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_groups_at_any_depth() {
        // A model whose graph starts a million groups.
        let groups = vec![0x0b; 1_000_000];
        let mut bytes = vec![0x3a, 0xc0, 0x84, 0x3d];
        bytes.extend(&groups);
        assert_eq!(check(&bytes, Message::Model), Err("it contains groups"));
        assert_eq!(check(&[0x08, 0x08], Message::Model), Ok(()));
        assert_eq!(check(&[0x3a, 0x05, 0x00], Message::Model), Err("a field is cut off"));
    }
}
