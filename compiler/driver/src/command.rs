//! What each command does.

use crate::pipeline::{self, Compiled};
use crate::report::{self, Report};
use crate::{
    Command, Compile, Failure, How, Opt, Progress, ReportArgs, Stage, check, diff, explain, page, rings, samples,
    simulate, text, tune,
};
use hec_ir::artifact::{Artifact, ClientFile, write_file};
use hec_ir::samples::wanted_by_program;
use hec_ir::text::AnyLevel;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Run a command.
///
/// # Errors
/// What the user must know to go on.
pub fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Compile(args) => compile(&args)?,
        Command::Check(args) => return check::check(&args),
        Command::Report(args) => show(&args)?,
        Command::Explain(args) => explain::explain(&args)?,
        Command::Diff(args) => return diff::diff(&args),
        Command::Simulate(args) => {
            let simulated = simulate(&args)?;
            if args.json {
                println!("{:#}", to_json(&simulated)?);
            } else {
                print!("{}", simulated.print());
            }
        }
        Command::Tune(args) => tune::tune(&args)?,
        Command::Opt(args) => opt(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|e| Failure::new("HEC-C006", e))
}

fn compile(args: &Compile) -> Result<(), Failure> {
    let mut progress = Progress::new();
    progress.stage("import");
    let imported = pipeline::import(&args.model, &args.how)?;
    if args.emit == Some(Stage::Import) {
        progress.finish();
        return text::store(&imported, args.output.as_deref());
    }
    let compiled = pipeline::compile(&imported, &args.how, &mut progress)?;
    progress.finish();
    if let Some(stage) = args.emit {
        return emit(&compiled, stage, args.output.as_deref());
    }
    let output = args.output.clone().unwrap_or_else(|| args.model.with_extension("hec"));
    let artifact = compiled.artifact()?;
    let written = write(&artifact, &compiled.client_file(&artifact), &output)?;
    if args.json {
        println!("{:#}", to_json(&compiled.report)?);
    } else {
        print!("{}", report::print(&compiled.report));
        println!("wrote      {} and {}", output.display(), written.display());
    }
    Ok(())
}

fn emit(compiled: &Compiled, stage: Stage, output: Option<&Path>) -> Result<(), Failure> {
    match stage {
        Stage::Import => Ok(()),
        Stage::Nonlinear => text::store(&compiled.replaced.graph, output),
        Stage::Optimize => text::store(&compiled.optimized.graph, output),
        Stage::Pack => text::store(&compiled.back.circuit, output),
        Stage::Plan => text::store(&compiled.back.leveled, output),
        Stage::Schedule => text::store(&compiled.back.priced.program, output),
    }
}

/// Write an artifact and, beside it, the client's file; returns the latter's path.
fn write(artifact: &Artifact, client: &ClientFile, output: &Path) -> Result<PathBuf, Failure> {
    artifact.write(output).map_err(|e| Failure::file(output, e))?;
    let path = output.with_extension("client.json");
    client.write(&path).map_err(|e| Failure::file(&path, e))?;
    Ok(path)
}

fn show(args: &ReportArgs) -> Result<(), Failure> {
    let artifact = Artifact::read(&args.program).map_err(|e| Failure::file(&args.program, e))?;
    if args.json {
        println!("{:#}", artifact.report());
        return Ok(());
    }
    let report = Report::of_artifact(&artifact).map_err(|e| Failure::file(&args.program, e))?;
    match &args.html {
        Some(output) => {
            let page = page::page(&report, artifact.manifest());
            write_file(output, page.as_bytes()).map_err(|e| Failure::file(output, e))
        }
        None => {
            print!("{}", report::print(&report));
            Ok(())
        }
    }
}

/// `hec opt`: from the text of any level to that of a later one, or to a program.
fn opt(args: &Opt) -> Result<(), Failure> {
    let output = args.output.as_deref();
    let as_program = output.is_some_and(|o| o.extension().is_some_and(|e| e == "hec"));
    let options = pipeline::ring_options(&args.how)?;
    let (circuit, leveled, priced) = match text::load(&args.program)? {
        AnyLevel::Tensor(graph) => return opt_tensor(&graph, args, as_program),
        AnyLevel::Circuit(circuit) => {
            let wanted = wanted_by_program(&circuit.inputs);
            let back = rings::from_circuit(&circuit, &samples::load(&args.how.calibrate, &wanted)?, &options)?;
            (Some(back.circuit), Some(back.leveled), back.priced)
        }
        AnyLevel::Leveled(leveled) => {
            let priced = rings::from_leveled(&leveled, &options)?;
            (None, Some(leveled), priced)
        }
        AnyLevel::Program(program) => (None, None, rings::from_program(program, &options)?),
    };
    if as_program {
        let artifact = Report::of_program(&priced, &options)?.attach(&priced.program)?;
        return write(&artifact, &ClientFile::of(&artifact), output.unwrap_or(&args.program)).map(|_| ());
    }
    match (args.to, circuit, leveled) {
        (Stage::Schedule, ..) => text::store(&priced.program, output),
        (Stage::Plan, _, Some(leveled)) => text::store(&leveled, output),
        (Stage::Pack, Some(circuit), _) => text::store(&circuit, output),
        (stage, ..) => Err(Failure::new("HEC-C007", format!("the text is already past the stage {stage:?}"))
            .advise("choose a later stage with --to")),
    }
}

fn opt_tensor(graph: &hec_ir::tensor::Graph, args: &Opt, as_program: bool) -> Result<(), Failure> {
    let how: &How = &args.how;
    let mut progress = Progress::new();
    if args.to == Stage::Import && !as_program {
        return text::store(graph, args.output.as_deref());
    }
    let compiled = pipeline::compile(graph, how, &mut progress)?;
    progress.finish();
    match (&args.output, as_program) {
        (Some(output), true) => {
            let artifact = compiled.artifact()?;
            write(&artifact, &compiled.client_file(&artifact), output).map(|_| ())
        }
        (output, _) => emit(&compiled, args.to, output.as_deref()),
    }
}
