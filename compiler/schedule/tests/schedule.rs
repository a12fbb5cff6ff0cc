//! What the schedule promises: shared decompositions, few registers, exactly the keys that are needed.

use hec_ir::circuit::{Circuit, Op, Output, ValueId};
use hec_ir::cost::CostTable;
use hec_ir::program::Program;
use hec_ir::tensor::Shape;
use hec_ir::{Layout, Level, LogN, Origin, Rotation, SlotMap};
use hec_plan::{PlanOptions, plan};
use hec_schedule::{ScheduleError, memory, schedule, schedule_within};
use std::sync::Arc;

fn program(build: impl Fn(&mut Circuit, ValueId) -> ValueId) -> Program {
    let log_n = LogN(13);
    let mut c = Circuit::new("test", log_n.slots());
    let layout = Layout::row_major(Shape::new([4]), log_n.slots());
    let x = c.input("x", layout.clone(), Origin::node("x"));
    let value = build(&mut c, x);
    c.outputs.push(Output { name: "y".into(), value, layout, client: vec![] });
    let options = PlanOptions { log_n, scale_bits: None, magnitude: 8.0, digit_size: 1, insecure_toy: false };
    schedule(&plan(&c, &options).expect("fits"), &CostTable::default()).expect("schedules")
}

fn push(c: &mut Circuit, op: Op, args: &[ValueId]) -> ValueId {
    c.push(op, args, Origin::node("layer")).expect("valid")
}

fn ops(p: &Program) -> Vec<&'static str> {
    p.instructions.iter().map(|i| i.op.name()).collect()
}

#[test]
fn rotations_of_one_value_share_its_decomposition() {
    let p = program(|c, x| {
        let a = push(c, Op::Rotate(Rotation(1)), &[x]);
        let b = push(c, Op::Rotate(Rotation(2)), &[x]);
        let sum = push(c, Op::Add, &[a, b]);
        push(c, Op::Add, &[sum, x])
    });
    p.verify().expect("well-formed");
    assert_eq!(ops(&p), ["load", "decompose", "rotate", "rotate", "forget", "add", "free", "add", "free"]);
    assert_eq!(p.keys.rotations.keys().copied().collect::<Vec<_>>(), [Rotation(1), Rotation(2)]);
    assert_eq!(p.keys.relinearize, None);
}

/// Two maps whose fastest splits have different baby steps share them when keys are few, and no fewer than possible.
#[test]
fn maps_share_rotations_within_a_size_of_keys() {
    let log_n = LogN(13);
    let n = log_n.slots();
    let mut c = Circuit::new("test", n);
    let layout = Layout::row_major(Shape::new([n.0]), n);
    let mut x = c.input("x", layout.clone(), Origin::node("x"));
    for (name, rotations) in [("a", (0..144).collect::<Vec<u32>>()), ("b", (0..128).map(|k| 2 * k).collect())] {
        let diagonal = |r| ((0, 0, Rotation(r)), Arc::new(vec![1.0; n.0]));
        let diagonals = rotations.into_iter().map(diagonal).collect();
        let map = c.maps.push(SlotMap { name: name.to_owned(), slots: n, outputs: 1, inputs: 1, diagonals });
        x = push(&mut c, Op::Linear(map), &[x]);
    }
    c.outputs.push(Output { name: "y".into(), value: x, layout, client: vec![] });
    let options = PlanOptions { log_n, scale_bits: None, magnitude: 8.0, digit_size: 1, insecure_toy: false };
    let leveled = plan(&c, &options).expect("fits");
    let fastest = schedule(&leveled, &CostTable::default()).expect("schedules");
    let within = |bytes| schedule_within(&leveled, &CostTable::default(), bytes);
    assert_eq!(within(usize::MAX).expect("no limit"), fastest);
    let Err(ScheduleError::Keys { needed, limit: 1 }) = within(1 << 20) else { panic!("a key takes more") };
    let fewest = within(needed << 20).expect("as it said");
    assert!(fewest.keys.rotations.len() < fastest.keys.rotations.len());
}

#[test]
fn a_chain_of_rotate_and_add_needs_two_registers_and_no_shared_decomposition() {
    let p = program(|c, mut x| {
        for step in 0..6 {
            let turned = push(c, Op::Rotate(Rotation(1 << step)), &[x]);
            x = push(c, Op::Add, &[x, turned]);
        }
        x
    });
    let registers = p.instructions.iter().map(|i| i.destination).max().expect("not empty");
    assert_eq!(registers.0, 1);
    assert!(!ops(&p).contains(&"decompose"));
}

#[test]
fn relinearization_is_merged_into_the_rescale() {
    let p = program(|c, x| {
        let y = push(c, Op::Square, &[x]);
        push(c, Op::Square, &[y])
    });
    assert_eq!(ops(&p), ["load", "square", "relinearize_rescale", "square", "relinearize_rescale"]);
    assert_eq!(p.keys.relinearize, Some(Level(2)));
    let estimate = memory(&p).expect("valid parameters");
    // Level 2 has three primes, so three digits in four primes: two polynomials each, of 2^13 residues.
    assert_eq!(estimate.keys, 2 * 3 * 4 * (1 << 13) * 8);
}
