//! `program name { parameters … input … map … plan … plain … c0 = op … free c0 output … keys … }`

use super::constants::{Constants, Tables};
use super::cursor::{Cursor, Parsed};
use super::layout::output;
use super::operation::{LEVEL_OPS, SLOT_OPS, program_op};
use super::parameters::{batch, check_type, scheme};
use crate::circuit::MapId;
use crate::entity::EntityVec;
use crate::leveled::{Scheme, Type};
use crate::program::{BabyGiant, Instruction, KeySet, Op, Program, Register};
use crate::text::token::{Token, at_name};
use crate::{Level, Origin, Rotation};
use std::collections::BTreeMap;

/// What may stand in the braces.
const STATEMENTS: &[&str] = &["input", "map", "plan", "plain", "decompose", "forget", "free", "output", "keys"];

/// The program as it grows.
struct Reader {
    program: Program,
    scheme: Scheme,
    constants: Constants,
    /// Plans by map, in any order.
    plans: BTreeMap<MapId, BabyGiant>,
    /// What the registers hold.
    live: BTreeMap<Register, Type>,
    /// Keys, if the text lists them.
    keys: Option<KeySet>,
}

/// A program, after its keyword.
pub(super) fn program(c: &mut Cursor) -> Parsed<Program> {
    let span = c.span();
    let name = c.network_name()?;
    let batch = batch(c)?;
    c.expect(Token::BraceOpen, "the statements stand in braces")?;
    let mut reader = Reader::new(name, scheme(c, batch)?);
    while !c.eat(Token::BraceClose) {
        match register(c) {
            Some(register) => reader.instruction(c, register)?,
            None => reader.statement(c)?,
        }
    }
    let program = reader.finish(c, span.clone())?;
    program.verify().map_err(|e| c.ill_formed(span, "a well-formed program", e))?;
    Ok(program)
}

/// The register ahead, if one is.
fn register(c: &Cursor) -> Option<Register> {
    let word = if c.token() == Token::Word { c.slice() } else { return None };
    let digits = word.strip_prefix('c').filter(|digits| digits.starts_with(|d: char| d.is_ascii_digit()))?;
    digits.parse().ok().map(Register)
}

impl Reader {
    fn new(name: String, scheme: Scheme) -> Self {
        let program = Program {
            name,
            parameters: scheme.parameters().literal().clone(),
            bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
            batch: scheme.batch(),
            inputs: Vec::new(),
            instructions: Vec::new(),
            maps: EntityVec::new(),
            plans: EntityVec::new(),
            plains: EntityVec::new(),
            outputs: Vec::new(),
            keys: KeySet::default(),
        };
        let constants = Constants::new(scheme.slots());
        Reader { program, scheme, constants, plans: BTreeMap::new(), live: BTreeMap::new(), keys: None }
    }

    /// The program with a plan for each map, and its keys.
    fn finish(self, c: &Cursor, span: super::cursor::Span) -> Parsed<Program> {
        let Reader { mut program, mut plans, keys, .. } = self;
        for (id, map) in program.maps.iter() {
            let plan = plans.remove(&id).ok_or_else(|| {
                let reason = format!("none for {0}; add `plan {0} {{ giant 0 babies [0] }}`", at_name(&map.name));
                c.error(span.clone(), "a plan for each map", reason, "")
            })?;
            program.plans.push(plan);
        }
        program.keys = keys.unwrap_or_else(|| program.required_keys());
        Ok(program)
    }

    fn statement(&mut self, c: &mut Cursor) -> Parsed<()> {
        let start = c.span();
        match c.statement("c0 =", STATEMENTS)? {
            "plan" => self.plan(c),
            "output" => {
                let name = c.string("the name of the output")?;
                let value = self.read(c)?.0;
                self.program.outputs.push(output(c, self.constants.slots, name, value)?);
                Ok(())
            }
            "keys" if self.keys.is_some() => Err(c.refuse(start, "one list of keys", "it has been given above")),
            "keys" => {
                self.keys = Some(self.keys(c)?);
                Ok(())
            }
            "decompose" => self.in_place(c, Op::Decompose),
            "forget" => self.in_place(c, Op::Forget),
            "free" => self.in_place(c, Op::Free),
            keyword => {
                let Program { inputs, maps, plains, .. } = &mut self.program;
                self.constants.statement(c, keyword, Tables { inputs, maps, plains })
            }
        }
    }

    /// A register that holds something, and what.
    fn read(&self, c: &mut Cursor) -> Parsed<(Register, Type)> {
        let span = c.span();
        let register = register(c).ok_or_else(|| c.fail("a register such as `c0`", ""))?;
        c.expect(Token::Word, "")?;
        match self.live.get(&register) {
            Some(&ty) => Ok((register, ty)),
            None => Err(c.refuse(span, "a register that holds a value", "it is empty here")),
        }
    }

    /// `c1 = op … : level 3 from "…"`
    fn instruction(&mut self, c: &mut Cursor, destination: Register) -> Parsed<()> {
        c.expect(Token::Word, "")?;
        c.expect(Token::Equals, "a register is written by `c0 = operation`")?;
        let span = c.span();
        let (op, args) = self.operation(c)?;
        let (args, types): (Vec<Register>, Vec<Type>) = args.into_iter().unzip();
        let inferred = self.program.infer(op, &types, &self.scheme);
        let ty = inferred.map_err(|e| c.refuse(span, "an operation that fits its arguments", e))?;
        check_type(c, ty, self.scheme.parameters())?;
        let origin = c.origin()?;
        self.live.insert(destination, ty);
        self.program.instructions.push(Instruction { op, destination, args, ty, origin });
        Ok(())
    }

    fn operation(&self, c: &mut Cursor) -> Parsed<(Op, Vec<(Register, Type)>)> {
        if c.eat_word("load") {
            return Ok((Op::Load(c.integer("the number of an input")?), Vec::new()));
        }
        let fused = || ["relinearize_rescale"];
        match c.eat_any(&SLOT_OPS).or_else(|| c.eat_any(&LEVEL_OPS)).or_else(|| c.eat_any(&fused())) {
            Some(name) => program_op(c, name, &self.constants, |c: &mut Cursor| self.read(c)),
            None => {
                let names = [&SLOT_OPS[..], &LEVEL_OPS[..], &fused()].concat().join(", ");
                Err(c.fail("an operation", format!("one of load, {names}")))
            }
        }
    }

    /// `decompose c0`, `forget c0`, `free c0`
    fn in_place(&mut self, c: &mut Cursor, op: Op) -> Parsed<()> {
        let span = c.span();
        let (destination, ty) = self.read(c)?;
        let fits = self.program.infer(op, &[ty], &self.scheme);
        fits.map_err(|e| c.refuse(span, "a register that fits the operation", e))?;
        check_type(c, ty, self.scheme.parameters())?;
        let origin: Origin = c.origin()?;
        if op == Op::Free {
            self.live.remove(&destination);
        }
        self.program.instructions.push(Instruction { op, destination, args: vec![destination], ty, origin });
        Ok(())
    }

    /// `plan @m { giant 0 babies [0, 1] giant 2 babies [0, 1] }`
    fn plan(&mut self, c: &mut Cursor) -> Parsed<()> {
        let span = c.span();
        let map = self.constants.map_name(c)?;
        let mut plan = BabyGiant::default();
        c.expect(Token::BraceOpen, "the steps stand in braces")?;
        while !c.eat(Token::BraceClose) {
            c.word("giant")?;
            let giant = self.constants.rotation(c)?;
            c.word("babies")?;
            let at = c.span();
            for baby in c.list(|c| self.constants.rotation(c))? {
                let sum = Rotation::new(i64::from(giant.0) + i64::from(baby.0), self.constants.slots);
                if plan.split.insert(sum, (giant, baby)).is_some() {
                    let help = format!("rotation {sum} has been split above");
                    return Err(c.refuse(at, "one split for each rotation", help));
                }
            }
        }
        match self.plans.insert(map, plan) {
            Some(_) => Err(c.refuse(span, "one plan for each map", "this one has a plan above")),
            None => Ok(()),
        }
    }

    /// `keys { relinearize level 5 rotate level 4 [1, 2] }`
    fn keys(&self, c: &mut Cursor) -> Parsed<KeySet> {
        let mut keys = KeySet::default();
        c.expect(Token::BraceOpen, "the keys stand in braces")?;
        while !c.eat(Token::BraceClose) {
            let span = c.span();
            let kind = c.keyword("a key or `}`", &["relinearize", "rotate", "bootstrap"])?;
            let mut level = || {
                c.word("level")?;
                Ok(Level(c.integer("a level")?))
            };
            let repeated = match kind {
                "bootstrap" => std::mem::replace(&mut keys.bootstrap, true),
                "relinearize" => keys.relinearize.replace(level()?).is_some(),
                _ => {
                    let level = level()?;
                    let rotations = c.list(|c| self.constants.rotation(c))?;
                    rotations.into_iter().filter(|&r| keys.rotations.insert(r, level).is_some()).count() > 0
                }
            };
            if repeated {
                return Err(c.refuse(span, "each key once", "it is given twice"));
            }
        }
        Ok(keys)
    }
}
