//! `mspec profile FILE`: where a training step spends its time, line by line of the spec and kernel by kernel, beside
//! what the machine reaches at most. Each kernel, or each band of kernels, runs alone between barriers, so the times add
//! up to a little more than a step's.

use super::bench::{SteppedData, Stepper};
use super::failure::Failure;
use super::{SpecArguments, streams, threads};
use crate::ir::kernel::{Band, Kernel, KernelBody};
use crate::ir::plan::{Launch, Plan};
use crate::machine::ceiling::{Ceilings, ceilings};
use crate::text::{Sources, Span};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Steps before the measured ones.
const WARM_UP: u64 = 3;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mspec profile specs/shakespeare-gpt.ms --threads 1
  mspec profile specs/fashion-mlp.ms --trace step.json     # open it in chrome://tracing or ui.perfetto.dev")]
pub struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
    #[command(flatten)]
    data: SteppedData,
    /// Steps that are measured; each kernel's shortest time counts
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    steps: u64,
    /// Threads of a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Writes one step as a trace for Chrome's and Perfetto's viewers
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// What is told of some launches together.
#[derive(Clone, Copy, Default)]
struct Cost {
    calls: usize,
    seconds: f64,
    flops: f64,
    bytes: f64,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// A line of the spec.
struct Line {
    place: String,
    text: String,
    cost: Cost,
}

/// A kernel, as one line of the spec uses it.
struct Row {
    kernel: usize,
    name: String,
    /// In the spec.
    line: String,
    /// Where the spec or a definition that it uses says it.
    place: String,
    /// Into how many bands it is cut together with its neighbours, if it is.
    bands: Option<usize>,
    cost: Cost,
}

/// Everything that is told.
struct Profile {
    threads: usize,
    /// The shortest step as it runs without profiling.
    step_seconds: f64,
    ceilings: Ceilings,
    lines: Vec<Line>,
    rows: Vec<Row>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = threads(arguments.threads.map(usize::from));
    let mut session = arguments.data.open(&arguments.spec, false)?;
    let graph = session.experiment.training_graph()?;
    let plan = crate::pipeline::compile(&graph, None).plan;
    let built = arguments.data.build(&arguments.spec, &mut session, threads)?;
    let mut stepper = Stepper::new(&session, built)?;
    let mut step_seconds = f64::INFINITY;
    for step in 0..WARM_UP + arguments.steps {
        let begin = Instant::now();
        stepper.step()?;
        if step >= WARM_UP {
            step_seconds = step_seconds.min(begin.elapsed().as_secs_f64());
        }
    }
    let seconds = measured(&mut stepper, arguments.steps, plan.launches.len())?;
    let sources = &session.experiment.spec.sources;
    if let Some(file) = &arguments.trace {
        let text = trace(&plan, &seconds, sources).to_string();
        crate::train::disk::write_file(file, |out| out.write_all(text.as_bytes()))?;
    }
    let profile = Profile {
        threads,
        step_seconds,
        ceilings: ceilings(threads)?,
        lines: lines(&plan, &seconds, sources),
        rows: rows(&plan, &seconds, sources),
    };
    match arguments.json {
        true => streams::result_line(profile.json()),
        false => streams::result(profile.text()),
    }
}

/// The shortest time of each launch over all steps, in seconds.
fn measured(stepper: &mut Stepper, steps: u64, launches: usize) -> Result<Vec<f64>, Failure> {
    let mut shortest = vec![f64::INFINITY; launches];
    for _ in 0..steps {
        let nanoseconds = stepper.timed_step()?;
        for (best, this) in shortest.iter_mut().zip(nanoseconds) {
            *best = best.min(this as f64 * 1e-9);
        }
    }
    Ok(shortest)
}

/// Every launch with its number and what it costs.
fn launches<'p>(plan: &'p Plan, seconds: &'p [f64]) -> impl Iterator<Item = (usize, &'p Launch, Cost)> {
    plan.launches
        .iter()
        .zip(seconds)
        .enumerate()
        .map(|(number, (launch, &seconds))| {
            let found = plan.loops.iter().find(|l| l.calls.contains(&number));
            let calls = found.map_or(1, |l| l.rounds);
            let (flops, bytes) = work(&plan.kernels[launch.call.kernel]);
            let cost = Cost {
                calls,
                seconds,
                flops: flops * calls as f64,
                bytes: bytes * calls as f64,
            };
            (number, launch, cost)
        })
}

/// The band that a launch belongs to.
fn band(plan: &Plan, launch: usize) -> Option<&Band> {
    plan.bands.iter().find(|b| b.calls.contains(&launch))
}

/// Launches of the same line of the spec together; the longest first.
fn lines(plan: &Plan, seconds: &[f64], sources: &Sources) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    for (_, launch, cost) in launches(plan, seconds) {
        let place = place(launch.call.caller, sources);
        let at = lines.iter().position(|l| l.place == place).unwrap_or_else(|| {
            lines.push(Line {
                place,
                text: excerpt(launch.call.caller, sources),
                cost: Cost::default(),
            });
            lines.len() - 1
        });
        lines[at].cost.add(cost);
    }
    lines.sort_by(|a, b| b.cost.seconds.total_cmp(&a.cost.seconds));
    lines
}

/// Launches of the same kernel for the same line are one row; the longest first.
fn rows(plan: &Plan, seconds: &[f64], sources: &Sources) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for (number, launch, cost) in launches(plan, seconds) {
        let call = &launch.call;
        let (line, place) = (place(call.caller, sources), place(call.span, sources));
        let bands = band(plan, number).map(|b| b.count);
        let same = |r: &Row| r.kernel == call.kernel && r.line == line && r.place == place && r.bands == bands;
        let at = rows.iter().position(same).unwrap_or_else(|| {
            rows.push(Row {
                kernel: call.kernel,
                name: call.name.clone(),
                line,
                place,
                bands,
                cost: Cost::default(),
            });
            rows.len() - 1
        });
        rows[at].cost.add(cost);
    }
    rows.sort_by(|a, b| b.cost.seconds.total_cmp(&a.cost.seconds));
    rows
}

fn place(span: Span, sources: &Sources) -> String {
    match sources.file(span.file) {
        Some(_) => sources.place(span),
        None => String::new(),
    }
}

/// Characters of a spec that are shown beside a place.
const EXCERPT: usize = 40;

/// The first line of what stands at a place, shortened.
fn excerpt(span: Span, sources: &Sources) -> String {
    let line = sources.text(span).lines().next().unwrap_or("").trim_end();
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{} …", line[..end].trim_end()),
        None => line.to_string(),
    }
}

/// Additions and multiplications of matrix products, and the bytes of all buffers once.
fn work(kernel: &Kernel) -> (f64, f64) {
    let flops = match &kernel.body {
        KernelBody::Product(k) => 2 * k.batch.iter().product::<usize>() * k.m * k.n * k.k,
        KernelBody::Loop(_) | KernelBody::Scatter(_) => 0,
    };
    let bytes: usize = kernel.buffers.iter().map(|b| b.elements * b.storage.stride()).sum();
    (flops as f64, bytes as f64)
}

impl Profile {
    fn kernel_seconds(&self) -> f64 {
        self.rows.iter().map(|r| r.cost.seconds).sum()
    }

    fn text(&self) -> String {
        let mut text = "    ms  share  calls   GFLOP/s      GB/s  line of the spec\n".to_string();
        for line in &self.lines {
            text += &format!("{}  {}  {}\n", self.columns(line.cost), line.place, line.text);
        }
        text += "\n    ms  share  calls   GFLOP/s      GB/s  kernel\n";
        for row in &self.rows {
            let mut said = vec![row.name.clone()];
            said.extend(row.bands.map(|count| format!("in {count} bands")));
            said.push(row.line.clone());
            said.extend((row.place != row.line).then(|| row.place.clone()));
            text += &format!("{}  {}\n", self.columns(row.cost), said.join("  "));
        }
        text += &format!(
            "\n{:.3} ms in kernels, {:.3} ms a step without profiling, on {} thread{}; this machine reaches {:.0} GFLOP/s and copies {:.1} GB/s\n",
            1e3 * self.kernel_seconds(),
            1e3 * self.step_seconds,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.ceilings.gflops,
            self.ceilings.copy_gb_per_s
        );
        text
    }

    /// Time, share of the step, calls, and both rates, each also in percent of what the machine reaches.
    fn columns(&self, cost: Cost) -> String {
        let rate = |amount: f64, ceiling: f64| match amount / cost.seconds / 1e9 {
            _ if amount == 0.0 => "         ".to_string(),
            rate => format!("{rate:5.0} {:>2.0}%", 100.0 * rate / ceiling),
        };
        format!(
            "{:6.3} {:5.1}% {:6} {} {}",
            1e3 * cost.seconds,
            100.0 * cost.seconds / self.kernel_seconds(),
            cost.calls,
            rate(cost.flops, self.ceilings.gflops),
            rate(cost.bytes, self.ceilings.copy_gb_per_s)
        )
    }

    fn json(&self) -> Value {
        let with = |mut value: Value, cost: Cost| {
            value["calls"] = json!(cost.calls);
            value["ms"] = json!(1e3 * cost.seconds);
            value["gflop"] = json!(cost.flops / 1e9);
            value["megabytes"] = json!(cost.bytes / 1e6);
            value["gflops"] = json!(cost.flops / cost.seconds / 1e9);
            value["gb_per_s"] = json!(cost.bytes / cost.seconds / 1e9);
            value
        };
        let lines = self
            .lines
            .iter()
            .map(|l| with(json!({ "line": l.place, "text": l.text }), l.cost));
        let rows = self.rows.iter().map(|row| {
            let told = json!({
                "kernel": row.name,
                "number": row.kernel,
                "line": row.line,
                "place": row.place,
                "bands": row.bands,
            });
            with(told, row.cost)
        });
        json!({
            "threads": self.threads,
            "step_ms": 1e3 * self.step_seconds,
            "kernels_ms": 1e3 * self.kernel_seconds(),
            "ceiling_gflops": self.ceilings.gflops,
            "ceiling_copy_gb_per_s": self.ceilings.copy_gb_per_s,
            "lines": lines.collect::<Vec<_>>(),
            "kernels": rows.collect::<Vec<_>>(),
        })
    }
}

/// The Trace Event Format: one complete event for each launch and, around those that go band by band, one for the band;
/// in microseconds. The launches of a band are one behind the other here: their sum over all bands.
fn trace(plan: &Plan, seconds: &[f64], sources: &Sources) -> Value {
    let event = |name: &str, category: &str, begin: f64, length: f64, args: Value| json!({ "name": name, "cat": category, "ph": "X", "ts": begin, "dur": length, "pid": 1, "tid": 1, "args": args });
    let named =
        |what: &str, name: &str| json!({ "name": what, "ph": "M", "pid": 1, "tid": 1, "args": { "name": name } });
    let mut events = vec![named("process_name", "mspec"), named("thread_name", "a training step")];
    let mut start = 0.0;
    for (number, launch, cost) in launches(plan, seconds) {
        if let Some(band) = band(plan, number).filter(|b| b.calls.start == number) {
            let length: f64 = seconds[band.calls.clone()].iter().sum();
            let args = json!({ "bands": band.count });
            events.push(event(
                &format!("{} bands", band.count),
                "band",
                start,
                1e6 * length,
                args,
            ));
        }
        let call = &launch.call;
        let args = json!({
            "kernel": call.kernel,
            "line": place(call.caller, sources),
            "text": excerpt(call.caller, sources),
            "place": place(call.span, sources),
            "gflop": cost.flops / 1e9,
            "megabytes": cost.bytes / 1e6,
        });
        events.push(event(&call.name, "kernel", start, 1e6 * cost.seconds, args));
        start += 1e6 * cost.seconds;
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}
