//! `mspec bench FILE`: times training steps, and records losses and norms for comparisons with other programs.
//! With `--data DIR` weights and batches come from `DIR/init.safetensors` and `DIR/batches.safetensors`, through
//! the name map beside the spec (`FILE` with the ending `.map`). Data that are not there are drawn at random.

use super::failure::Failure;
use super::programs::{self, Built};
use super::session;
use super::train::load_init;
use super::{SpecArguments, streams, threads};
use crate::data::Batch;
use crate::data::random::Stream;
use crate::ir::experiment::Precision;
use crate::ir::graph::OutputKind;
use crate::machine::ceiling::{Ceilings, ceilings};
use crate::train::checkpoint::Bits;
use crate::train::checkpoint::Memory;
use crate::train::disk;
use crate::train::name_map::NameMap;
use crate::train::run::step_variables;
use crate::train::update::{Moment, Updater};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const WARM_UP: u64 = 5;
const SAMPLES_MIN: usize = 8;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mspec bench specs/shakespeare-gpt.ms --threads 2
  mspec bench specs/bench/gpt-nano.ms --data peers/gpt-nano --steps 20 --record out.json")]
pub struct Arguments {
    #[command(flatten)]
    spec: Option<SpecArguments>,
    #[command(flatten)]
    data: SteppedData,
    /// Measures what the machine reaches at most, instead of a spec
    #[arg(long, conflicts_with = "spec")]
    machine: bool,
    /// Steps whose losses are recorded
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Writes losses and norms, under the names of init.safetensors, instead of measuring time
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Time to spend on timed steps
    #[arg(long, value_name = "S", default_value_t = 8.0)]
    seconds: f64,
    /// What matrix products read, instead of what the spec says
    #[arg(long, value_parser = ["fp32", "bf16", "f16"])]
    precision: Option<String>,
    /// Threads of a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Prints one line of JSON
    #[arg(long)]
    json: bool,
}

/// Weights and batches of another program.
#[derive(clap::Args)]
pub struct SteppedData {
    /// A folder with init.safetensors and batches.safetensors, which replace the spec's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How the names of init.safetensors become ours, instead of FILE with the ending .map
    #[arg(long, value_name = "FILE", requires = "data")]
    name_map: Option<PathBuf>,
}

impl SteppedData {
    /// The spec with its data; `probe` asks for the gradient norm of each parameter.
    pub fn open(&self, spec: &SpecArguments, probe: bool) -> Result<session::Session, Failure> {
        let loaded = session::load(&spec.spec, &spec.overrides)?;
        let batches = self.data.as_ref().map(|d| d.join("batches.safetensors"));
        let mut session = session::open_or_draw(loaded, batches.as_deref())?;
        session.settings()?;
        session.experiment.probe = probe;
        Ok(session)
    }

    fn names(&self, spec: &SpecArguments) -> Result<NameMap, Failure> {
        Ok(match (&self.data, &self.name_map) {
            (None, _) => NameMap::identity(),
            (Some(_), Some(file)) => NameMap::read(file)?,
            (Some(_), None) => NameMap::read(&spec.spec.with_extension("map"))?,
        })
    }

    /// The compiled spec with its weights, and how long compiling took.
    pub fn build(
        &self,
        spec: &SpecArguments,
        session: &mut session::Session,
        threads: usize,
    ) -> Result<(Built, Duration), Failure> {
        let begin = Instant::now();
        let mut built = programs::build(session, true, &[], threads)?;
        let build_took = begin.elapsed();
        match &self.data {
            Some(folder) => load_init(&mut built, &folder.join("init.safetensors"), &self.names(spec)?)?,
            None => built.initialise_parameters(session.settings()?.seed),
        }
        built.initialise_states();
        Ok((built, build_took))
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let threads = threads(arguments.threads.map(usize::from));
    let spec = match &arguments.spec {
        Some(spec) => spec,
        None if arguments.machine => return machine(threads, arguments.json),
        None => return Err(Failure::Usage("name a spec, or ask for --machine".into())),
    };
    let spec = &with_precision(spec, arguments.precision.as_deref());
    let mut session = arguments.data.open(spec, arguments.record.is_some())?;
    let check_took = started.elapsed() - session.data_took;
    let built = arguments.data.build(spec, &mut session, threads)?;
    let mut stepper = Stepper::new(&session, built)?;
    if let Some(file) = &arguments.record {
        return record(&mut stepper, arguments.steps, &arguments.data.names(spec)?, file);
    }
    let codegen_s = (check_took + stepper.build_took).as_secs_f64();
    measure(
        &mut stepper,
        arguments,
        spec,
        threads,
        Started { at: started, codegen_s },
    )
}

/// The spec as it is read with `--set train.precision=…`.
fn with_precision(spec: &SpecArguments, precision: Option<&str>) -> SpecArguments {
    let mut spec = spec.clone();
    let word = precision.map(|word| if word == "fp32" { "f32" } else { word });
    spec.overrides
        .extend(word.map(|word| ("train.precision".into(), word.into())));
    spec
}

fn machine(threads: usize, as_json: bool) -> Result<(), Failure> {
    let Ceilings { gflops, copy_gb_per_s } = ceilings(threads)?;
    match as_json {
        true => streams::result_line(json!({ "threads": threads, "gflops": gflops, "copy_gb_per_s": copy_gb_per_s })),
        false => streams::result_line(format_args!(
            "{gflops:.0} GFLOP/s and {copy_gb_per_s:.1} GB/s copied, on {threads} threads"
        )),
    }
}

/// Steps without log, evaluation and checkpoints.
pub struct Stepper<'a> {
    session: &'a session::Session,
    built: Built,
    sampler: crate::data::Sampler<'a>,
    batch: Batch,
    updater: Updater,
    keys: Stream,
    kept: Vec<Bits>,
    step: u64,
    /// From the checked spec to callable machine code.
    build_took: Duration,
}

impl<'a> Stepper<'a> {
    /// Before the first step of what [`SteppedData::build`] made.
    pub fn new(session: &'a session::Session, built: (Built, Duration)) -> Result<Stepper<'a>, Failure> {
        let (built, build_took) = built;
        let settings = session.settings()?;
        let sampler = session.dataset.sampler(settings.seed, settings.batch);
        let training = built.training.as_ref().expect("built with its training program");
        let batch = Batch::new(session.dataset.schema(), settings.batch);
        // Nothing is evaluated, so what schedules keep stays as it begins.
        let kept = &built.declarations.kept;
        Ok(Stepper {
            sampler: sampler.map_err(|e| session.failure(e))?,
            updater: Updater::new(&built.machine, &training.main, training.parted.as_ref(), &batch),
            keys: Stream::new(settings.seed, "step"),
            kept: kept.iter().map(|k| Bits::of(k.initial)).collect(),
            batch,
            step: 0,
            session,
            built,
            build_took,
        })
    }

    /// One update; gives its loss.
    pub fn step(&mut self) -> Result<f32, Failure> {
        let per_epoch = self.next()?;
        let variable = step_variables(self.step, per_epoch, &self.kept);
        let moment = Moment::new(self.step, &variable, &self.keys);
        let machine = programs::train_machine(&mut self.built.machine);
        Ok(self.updater.run(machine, &self.batch, &moment).loss)
    }

    /// One update, kernel by kernel; gives the nanoseconds of each launch of the plan. Where the batch goes part by part
    /// it is the gradient of one part.
    pub fn timed_step(&mut self) -> Result<Vec<u64>, Failure> {
        let per_epoch = self.next()?;
        let variable = step_variables(self.step, per_epoch, &self.kept);
        let moment = Moment::new(self.step, &variable, &self.keys);
        let machine = programs::train_machine(&mut self.built.machine);
        let program = self.updater.prepare(machine, &self.batch, &moment);
        Ok(self.built.machine.run_timed(program))
    }

    /// Goes to the next step and its batch; gives how many steps an epoch has.
    fn next(&mut self) -> Result<f64, Failure> {
        self.step += 1;
        let settings = self.session.settings()?;
        let session = self.session;
        self.sampler
            .fill(self.step, &mut self.batch)
            .map_err(|e| session.failure(e))?;
        Ok(self.session.dataset.steps_per_epoch(settings.batch).unwrap_or(0) as f64)
    }
}

/// Losses, gradient norms of the first step and parameter norms after the last one.
fn record(stepper: &mut Stepper, steps: u64, map: &NameMap, file: &std::path::Path) -> Result<(), Failure> {
    let mut losses = vec![];
    let mut gradients = BTreeMap::new();
    let params = stepper.built.declarations.params.clone();
    for _ in 0..steps {
        losses.push(f64::from(stepper.step()?));
        if stepper.step == 1 {
            let training = stepper.built.training.as_ref().expect("built with it");
            let program = training.parted.as_ref().map_or(&training.main, |p| &p.update).program;
            let machine = programs::train_machine(&mut stepper.built.machine);
            for (index, output) in machine.outputs(program).iter().enumerate() {
                if let OutputKind::ParamGradient(id) = output.kind {
                    let norm = f64::from(machine.output(program, index)[0]);
                    gradients.insert(params[id.0 as usize].path.clone(), norm);
                }
            }
        }
    }
    let memory = Memory::of(&stepper.built.machine, &stepper.built.declarations.states);
    let ours = stepper.built.weights(&memory.model);
    let norm = |t: &crate::train::weights::WeightTensor| {
        t.values
            .iter()
            .map(|&v| f64::from(v) * f64::from(v))
            .sum::<f64>()
            .sqrt()
    };
    let norms: BTreeMap<String, f64> = map.export(&ours)?.iter().map(|(n, t)| (n.clone(), norm(t))).collect();
    let value = json!({ "losses": losses, "grad_norms": map.export_norms(&gradients)?, "param_norms": norms });
    let text = serde_json::to_string_pretty(&value).expect("numbers are always JSON") + "\n";
    disk::write_file(file, |out| out.write_all(text.as_bytes()))?;
    streams::result_line(format_args!("{steps} losses in {}", file.display()))
}

/// How the command began.
struct Started {
    at: Instant,
    /// From reading the spec to callable machine code, without data and weights.
    codegen_s: f64,
}

/// The protocol of the peers: five untimed steps, then steps for some seconds, short ones in groups.
fn measure(
    stepper: &mut Stepper,
    arguments: &Arguments,
    spec: &SpecArguments,
    threads: usize,
    started: Started,
) -> Result<(), Failure> {
    let mut losses = vec![stepper.step()?];
    let Started { at, codegen_s } = started;
    let compile_s = at.elapsed().as_secs_f64();
    let mut quickest = f64::INFINITY;
    for _ in 1..WARM_UP {
        let begin = Instant::now();
        losses.push(stepper.step()?);
        quickest = quickest.min(begin.elapsed().as_secs_f64());
    }
    let group = ((0.02 / quickest).round() as u64).max(1);
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.clamp(0.0, 3600.0));
    let mut times = vec![];
    while times.len() < SAMPLES_MIN || Instant::now() < until {
        let begin = Instant::now();
        for _ in 0..group {
            stepper.step()?;
        }
        times.push(begin.elapsed().as_secs_f64() / group as f64 * 1e3);
    }
    let parts = stepper.session.settings()?.parts as f64;
    let training = stepper.built.training.as_ref().expect("built with it");
    let gflop = parts * training.contract_flops as f64 / 1e9;
    times.sort_by(f64::total_cmp);
    let (best, median) = (times[0], times[times.len() / 2]);
    let settings = stepper.session.settings()?;
    let time = stepper
        .session
        .experiment
        .schema
        .sizes
        .iter()
        .find(|s| s.0 == "time" || s.0 == "inputs_1");
    let ids = stepper
        .session
        .experiment
        .schema
        .tensors
        .iter()
        .any(|t| t.element != crate::ir::graph::Element::Real && !t.axes.is_empty());
    let units = settings.batch * time.filter(|_| ids).map_or(1, |t| t.1);
    let workload = spec.spec.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let value = json!({
        "peer": "mspec",
        "workload": workload,
        "threads": threads,
        "precision": match settings.precision {
            None => "fp32",
            Some(Precision::Bf16) => "bf16",
            Some(Precision::F16) => "f16",
        },
        "step_ms_min": best,
        "step_ms_median": median,
        "codegen_s": codegen_s,
        "compile_s": compile_s,
        "peak_rss_mb": peak_memory_mb(),
        "tokens_or_samples_per_s": units as f64 / best * 1e3,
        "model_gflop_per_step": gflop,
        "gflops": gflop / best * 1e3,
        "steps": stepper.step,
        "losses": losses,
    });
    match arguments.json {
        true => streams::result_line(value),
        false => streams::result_line(format_args!(
            "{workload}: {} ms a step (median {}), {:.0} a second, {:.1} GFLOP/s, {compile_s:.2} s to the first step",
            figures(best),
            figures(median),
            units as f64 / best * 1e3,
            gflop / best * 1e3
        )),
    }
}

/// Three figures of a small number, two places of a large one.
fn figures(ms: f64) -> String {
    match ms {
        0.1.. => format!("{ms:.2}"),
        0.01.. => format!("{ms:.3}"),
        _ => format!("{ms:.4}"),
    }
}

/// The most memory that the process has had, where the system tells.
fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}
