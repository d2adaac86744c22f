//! `mspec profile FILE`: where a training step spends its time, kernel by kernel, beside what the machine reaches at
//! most. Each kernel runs alone between barriers, so the times add up to a little more than a step's.

use super::bench::{SteppedData, Stepper};
use super::failure::Failure;
use super::{SpecArguments, streams, threads};
use crate::ir::kernel::{Kernel, KernelBody};
use crate::ir::plan::Plan;
use crate::machine::ceiling::{Ceilings, ceilings};
use crate::text::Sources;
use serde_json::{Value, json};
use std::path::PathBuf;

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

/// A kernel of the step.
struct Row {
    name: String,
    place: String,
    calls: usize,
    seconds: f64,
    flops: f64,
    bytes: f64,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = threads(arguments.threads.map(usize::from));
    let session = arguments.data.open(&arguments.spec, false)?;
    let graph = session.experiment.training_graph()?;
    let plan = crate::pipeline::compile(&graph, None).plan;
    let mut stepper = arguments.data.stepper(&arguments.spec, &session, threads)?;
    for _ in 0..WARM_UP {
        stepper.step()?;
    }
    let seconds = measured(&mut stepper, arguments.steps, plan.launches.len())?;
    let ceilings = ceilings(threads)?;
    let sources = &session.experiment.spec.sources;
    if let Some(file) = &arguments.trace {
        let text = trace(&plan, &seconds, sources).to_string();
        crate::train::disk::write_file(file, |out| out.write_all(text.as_bytes()))?;
    }
    let rows = rows(&plan, &seconds, sources);
    match arguments.json {
        true => streams::result_line(report(&rows, &ceilings, threads)),
        false => streams::result(table(&rows, &ceilings, threads)),
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

/// Launches of the same kernel from the same line are one row; the longest first.
fn rows(plan: &Plan, seconds: &[f64], sources: &Sources) -> Vec<Row> {
    let mut rows: Vec<(usize, Row)> = vec![];
    for (number, (launch, seconds)) in plan.launches.iter().zip(seconds).enumerate() {
        let found = plan.loops.iter().find(|l| l.calls.contains(&number));
        let rounds = found.map_or(1, |l| l.rounds);
        let kernel = &plan.kernels[launch.call.kernel];
        let place = place(launch.call.span, sources);
        let (flops, bytes) = work(kernel);
        let known = rows
            .iter_mut()
            .find(|(k, row)| *k == launch.call.kernel && row.place == place);
        let row = match known {
            Some((_, row)) => row,
            None => {
                let (name, calls) = (launch.call.name.clone(), 0);
                let row = Row {
                    name,
                    place,
                    calls,
                    seconds: 0.0,
                    flops: 0.0,
                    bytes: 0.0,
                };
                rows.push((launch.call.kernel, row));
                &mut rows.last_mut().expect("one was just added").1
            }
        };
        row.calls += rounds;
        row.seconds += seconds;
        row.flops += flops * rounds as f64;
        row.bytes += bytes * rounds as f64;
    }
    let mut rows: Vec<Row> = rows.into_iter().map(|r| r.1).collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    rows
}

fn place(span: crate::text::Span, sources: &Sources) -> String {
    match sources.file(span.file) {
        Some(_) => sources.place(span),
        None => String::new(),
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

fn table(rows: &[Row], ceilings: &Ceilings, threads: usize) -> String {
    let total: f64 = rows.iter().map(|r| r.seconds).sum();
    let mut text = "    ms  share  calls   GFLOP/s      GB/s  kernel\n".to_string();
    for row in rows {
        let rate = |amount: f64, ceiling: f64| match amount / row.seconds / 1e9 {
            _ if amount == 0.0 => "         ".to_string(),
            rate => format!("{rate:5.0} {:>2.0}%", 100.0 * rate / ceiling),
        };
        text += &format!(
            "{:6.3} {:5.1}% {:6} {} {}  {}  {}\n",
            1e3 * row.seconds,
            100.0 * row.seconds / total,
            row.calls,
            rate(row.flops, ceilings.gflops),
            rate(row.bytes, ceilings.copy_gb_per_s),
            row.name,
            row.place
        );
    }
    text += &format!(
        "{:.3} ms in kernels on {threads} thread{}; this machine reaches {:.0} GFLOP/s and copies {:.1} GB/s\n",
        1e3 * total,
        if threads == 1 { "" } else { "s" },
        ceilings.gflops,
        ceilings.copy_gb_per_s
    );
    text
}

fn report(rows: &[Row], ceilings: &Ceilings, threads: usize) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "kernel": row.name,
                "place": row.place,
                "calls": row.calls,
                "ms": 1e3 * row.seconds,
                "gflop": row.flops / 1e9,
                "megabytes": row.bytes / 1e6,
                "gflops": row.flops / row.seconds / 1e9,
                "gb_per_s": row.bytes / row.seconds / 1e9,
            })
        })
        .collect();
    json!({
        "threads": threads,
        "ceiling_gflops": ceilings.gflops,
        "ceiling_copy_gb_per_s": ceilings.copy_gb_per_s,
        "kernels": rows,
    })
}

/// The Trace Event Format: one complete event for each launch, in microseconds.
fn trace(plan: &Plan, seconds: &[f64], sources: &Sources) -> Value {
    let mut start = 0.0;
    let events: Vec<Value> = plan
        .launches
        .iter()
        .zip(seconds)
        .map(|(launch, seconds)| {
            let (begin, length) = (start, seconds * 1e6);
            start += length;
            json!({
                "name": launch.call.name,
                "cat": "kernel",
                "ph": "X",
                "ts": begin,
                "dur": length,
                "pid": 1,
                "tid": 1,
                "args": { "kernel": launch.call.kernel, "place": place(launch.call.span, sources) },
            })
        })
        .collect();
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}
