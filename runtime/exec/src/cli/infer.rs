//! All parties in one process: classes, errors, times, sizes.

use super::bar::Bar;
use super::bootstraps::Bootstraps;
use super::measure::json;
use super::output::{classes, is_secure, security_line, stacked, warn_insecure, write_outputs};
use super::{Infer, sample};
use hec_ckks::PrecisionStats;
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::evaluate::noise::DEVIATIONS;
use hec_ir::tensor::Tensor;
use hec_run::{Inference, RunError, Session, bytes, peak_memory, read_array};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// What is told of a run.
#[derive(Serialize)]
struct Report {
    model: String,
    security: String,
    insecure: bool,
    bootstraps: Option<Bootstraps>,
    samples: Vec<Sample>,
    /// Samples whose class is the label, where labels are given.
    labels_agree: Option<usize>,
    /// Samples whose class is that of the expected output, where one is given.
    expected_agree: Option<usize>,
    error: Option<Error>,
    /// What the compiler predicts of the scheme's noise.
    noise: Option<Noise>,
    /// Samples that are evaluated at once; the times below are of all of them, those of samples shares.
    batch: usize,
    prepare_seconds: f64,
    keygen_seconds: f64,
    encrypt_seconds: f64,
    eval_seconds: f64,
    decrypt_seconds: f64,
    keys_file_bytes: usize,
    keys_memory_bytes: usize,
    request_bytes: usize,
    constants_memory_bytes: usize,
    peak_memory_bytes: Option<usize>,
}

/// One sample; a network with a batch has one class for each row.
#[derive(Serialize)]
struct Sample {
    index: usize,
    class: Vec<usize>,
    label: Option<Vec<usize>>,
    expected_class: Option<Vec<usize>>,
    output: Vec<f64>,
    eval_seconds: f64,
}

/// log2 of the absolute errors of the first output over all samples.
#[derive(Serialize)]
struct Error {
    log2_min: f64,
    log2_mean: f64,
    log2_rms: f64,
    log2_max: f64,
    /// Of the largest error over the range of the expected values.
    log2_max_of_range: f64,
}

/// log2 of the noise of an output as the compiler predicts it.
#[derive(Serialize)]
struct Noise {
    log2_std_dev: f64,
    /// One output in 10^9 is further off.
    log2_max: f64,
}

impl Noise {
    /// From the report that is stored with a program; `None` if it says nothing.
    fn of(report: &serde_json::Value) -> Option<Self> {
        let [relative, range] = ["log2_noise", "output_range"].map(|name| report.get(name).and_then(|x| x.as_f64()));
        let log2_std_dev = relative? + range?.log2();
        Some(Noise { log2_std_dev, log2_max: log2_std_dev + DEVIATIONS.log2() })
    }
}

/// What outputs are compared with.
struct Truth {
    labels: Option<Tensor>,
    expected: Option<Tensor>,
}

pub fn run(args: &Infer) -> Result<String, RunError> {
    args.machine.threads.apply()?;
    let how = args.how.decryption()?;
    let artifact = Artifact::read(&args.model)?;
    let client = ClientFile::beside(&args.model, &artifact)?;
    let samples = args.source.samples(&client.wanted(), &args.model)?;
    let indices = indices(args, samples.len())?;
    let read = |path: &Option<_>| path.as_deref().map(read_array).transpose();
    let truth = Truth { labels: read(&args.labels)?, expected: read(&args.against)? };
    let noise = Noise::of(artifact.report());
    let preparing = Bar::with_lines("preparing", args.progress);
    let session = Session::with_client(client, artifact, args.machine.max_memory, &preparing)?;
    drop(preparing);
    warn_insecure(session.client().scheme());
    let mut all = Vec::new();
    let mut done = 0;
    for some in indices.chunks(session.client().file().batch.0) {
        let bar = Bar::with_lines(&format!("sample {} ({} of {})", some[0], done + 1, indices.len()), args.progress);
        let inputs = some.iter().map(|&index| sample(&samples, index)).collect::<Result<Vec<_>, _>>()?;
        all.push(Request { indices: some.to_vec(), inference: session.infer_batch(&inputs, &how, &bar)? });
        done += some.len();
    }
    if let Some(path) = &args.output {
        write_stacked(path, &all)?;
    }
    let request_bytes = session.request_bytes(sample(&samples, indices.first().copied().unwrap_or(0))?)?;
    let report = Report { noise, ..report(&session, &all, &truth, request_bytes)? };
    if args.json {
        return json(&report);
    }
    let trace =
        all.first().filter(|_| args.trace).map_or(String::new(), |first| format!("{}\n", first.inference.trace));
    Ok(text(&report) + &trace)
}

/// Samples that were evaluated at once.
struct Request {
    indices: Vec<usize>,
    inference: Inference,
}

impl Request {
    /// The first output of each sample.
    fn outputs(&self) -> impl Iterator<Item = (usize, Option<&Tensor>)> {
        self.indices.iter().copied().zip(self.inference.outputs.iter().map(|outputs| outputs.first()))
    }
}

fn indices(args: &Infer, held: usize) -> Result<Vec<usize>, RunError> {
    match (args.index, args.count) {
        (Some(index), _) => Ok(vec![index]),
        (None, Some(count)) if count == 0 || count > held => {
            Err(RunError::Usage(format!("--count {count}: the input holds {held} samples")))
        }
        (None, Some(count)) => Ok((0..count).collect()),
        (None, None) if held == 0 => Err(RunError::Input("the input holds no sample".to_owned())),
        (None, None) => Ok((0..held).collect()),
    }
}

impl Truth {
    /// The labels of the rows of a sample.
    fn labels(&self, index: usize, rows: usize) -> Result<Option<Vec<usize>>, RunError> {
        let Some(labels) = &self.labels else { return Ok(None) };
        let own = labels.data.get(index * rows..(index + 1) * rows);
        let own = own.ok_or_else(|| {
            RunError::Input(format!("there is no label for sample {index}: the labels are {}", labels.data.len()))
        })?;
        Ok(Some(own.iter().map(|&x| x as usize).collect()))
    }

    /// The expected first output of a sample.
    fn expected(&self, index: usize, output: &Tensor) -> Result<Option<Tensor>, RunError> {
        let Some(expected) = &self.expected else { return Ok(None) };
        let size = output.data.len();
        let own = expected.data.get(index * size..(index + 1) * size);
        let own = own.filter(|_| expected.data.len().is_multiple_of(size)).ok_or_else(|| {
            let (found, shape) = (expected.shape.dims(), output.shape.dims());
            RunError::Input(format!("the expected outputs have shape {found:?}: no {shape:?} for sample {index}"))
        })?;
        Ok(Some(Tensor { shape: output.shape.clone(), data: own.to_vec() }))
    }
}

fn report(session: &Session, all: &[Request], truth: &Truth, request_bytes: usize) -> Result<Report, RunError> {
    let mut samples = Vec::new();
    let (mut actual, mut expected) = (Vec::new(), Vec::new());
    let each = |request: &Request| request.inference.eval.as_secs_f64() / request.indices.len() as f64;
    for (seconds, (index, output)) in all.iter().flat_map(|r| r.outputs().map(move |o| (each(r), o))) {
        let Some(output) = output else {
            return Err(RunError::Program("it has no output".to_owned()));
        };
        let class = classes(output);
        let wanted = truth.expected(index, output)?;
        if let Some(wanted) = &wanted {
            actual.extend_from_slice(&output.data);
            expected.extend_from_slice(&wanted.data);
        }
        samples.push(Sample {
            index,
            label: truth.labels(index, class.len())?,
            expected_class: wanted.as_ref().map(classes),
            class,
            output: output.data.clone(),
            eval_seconds: seconds,
        });
    }
    let agree = |other: fn(&Sample) -> &Option<Vec<usize>>| {
        samples.iter().filter(|s| other(s).as_ref() == Some(&s.class)).count()
    };
    let labels_agree = truth.labels.as_ref().map(|_| agree(|s| &s.label));
    let expected_agree = truth.expected.as_ref().map(|_| agree(|s| &s.expected_class));
    let (file, scheme) = (session.client().file(), session.client().scheme());
    let median =
        |time: fn(&Inference) -> Duration| median(all.iter().map(|r| time(&r.inference).as_secs_f64()).collect());
    Ok(Report {
        model: file.name.clone(),
        security: security_line(&file.parameters)?,
        insecure: !is_secure(scheme),
        bootstraps: Bootstraps::of(session.server().prepared().program(), scheme),
        labels_agree,
        expected_agree,
        error: truth.expected.as_ref().map(|_| Error::of(&actual, &expected)),
        noise: None,
        samples,
        batch: file.batch.0,
        prepare_seconds: session.server().prepared().duration().as_secs_f64(),
        keygen_seconds: session.keygen().as_secs_f64(),
        encrypt_seconds: median(|i| i.encrypt),
        eval_seconds: median(|i| i.eval),
        decrypt_seconds: median(|i| i.decrypt),
        keys_file_bytes: session.stored_key_bytes(),
        keys_memory_bytes: session.key_bytes(),
        request_bytes,
        constants_memory_bytes: session.server().prepared().encoded_bytes(),
        peak_memory_bytes: peak_memory(),
    })
}

impl Error {
    fn of(actual: &[f64], expected: &[f64]) -> Self {
        let PrecisionStats { log2_min, log2_mean, log2_std, log2_max } = PrecisionStats::of(actual, expected);
        let bounds = expected.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (x.min(low), x.max(high)));
        let log2_max_of_range = log2_max - (bounds.1 - bounds.0).log2();
        Error { log2_min, log2_mean, log2_rms: log2_std, log2_max, log2_max_of_range }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

fn text(report: &Report) -> String {
    let mut text = format!("{}: {}\n", report.model, report.security);
    if let Some(all) = &report.bootstraps {
        let _ = writeln!(text, "bootstraps: {}\n{}", all.describe(), all.encapsulation());
    }
    for sample in &report.samples {
        let _ = write!(text, "sample {}: class {}", sample.index, list(&sample.class));
        if let Some(label) = &sample.label {
            let _ = write!(text, ", label {}", list(label));
        }
        if let Some(expected) = &sample.expected_class {
            let _ = write!(text, ", expected {}", list(expected));
        }
        let _ = writeln!(text, "  ({:.3} s)", sample.eval_seconds);
    }
    let count = report.samples.len();
    if let Some(agree) = report.labels_agree {
        let _ = writeln!(text, "the class is the label for {agree} of {count} samples");
    }
    if let Some(agree) = report.expected_agree {
        let _ = writeln!(text, "the class is the expected one for {agree} of {count} samples");
    }
    if let Some(Error { log2_min, log2_mean, log2_rms, log2_max, log2_max_of_range }) = &report.error {
        let _ = writeln!(
            text,
            "log2 error: min {log2_min:.1}, mean {log2_mean:.1}, rms {log2_rms:.1}, max {log2_max:.1}; \
             max over the range of the expected values {log2_max_of_range:.1}"
        );
        if let Some(Noise { log2_std_dev, log2_max }) = report.noise {
            let _ = writeln!(text, "of which noise, as predicted: rms {log2_std_dev:.1}, max {log2_max:.1}");
        }
    }
    let what = if report.batch == 1 { "sample".to_owned() } else { format!("batch of {}", report.batch) };
    let Report { prepare_seconds, keygen_seconds, encrypt_seconds, eval_seconds, decrypt_seconds, .. } = report;
    let _ = writeln!(
        text,
        "once: prepare {prepare_seconds:.3} s, keygen {keygen_seconds:.3} s; \
         each {what} (median): encrypt {encrypt_seconds:.3} s, eval {eval_seconds:.3} s, decrypt {decrypt_seconds:.3} s"
    );
    if report.batch > 1 {
        let each = |seconds: f64| 1e3 * seconds / report.batch as f64;
        let times = [encrypt_seconds, eval_seconds, decrypt_seconds].map(|&seconds| each(seconds));
        let [encrypt, eval, decrypt] = times;
        let _ = writeln!(
            text,
            "a sample of a full one: encrypt {encrypt:.2} ms, eval {eval:.2} ms, decrypt {decrypt:.2} ms"
        );
    }
    let _ = writeln!(
        text,
        "evaluation keys {} ({} in memory), request {}, constants {} in memory{}",
        bytes(report.keys_file_bytes),
        bytes(report.keys_memory_bytes),
        bytes(report.request_bytes),
        bytes(report.constants_memory_bytes),
        report.peak_memory_bytes.map_or(String::new(), |peak| format!(", peak memory {}", bytes(peak)))
    );
    text
}

fn list(classes: &[usize]) -> String {
    let all: Vec<String> = classes.iter().map(usize::to_string).collect();
    all.join(" ")
}

/// The first output of all samples.
fn write_stacked(path: &Path, all: &[Request]) -> Result<(), RunError> {
    let outputs = all.iter().flat_map(Request::outputs).filter_map(|(_, output)| output);
    write_outputs(path, [("output", &stacked(outputs))].into_iter())
}
