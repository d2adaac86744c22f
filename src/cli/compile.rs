//! `mspec compile FILE`: a summary, or what one stage made.

use super::failure::Failure;
use super::{SpecArguments, diagnostics, programs, session, streams, threads};
use crate::codegen::clif::{assembly_text, clif_text};
use crate::codegen::target::Target;
use crate::data::{Dataset, Part};
use crate::ir::flops;
use crate::ir::graph::{Graph, ParamDeclaration, elements};
use crate::machine::{MachineMemory, Program};
use crate::pipeline::{self, Compiled, Experiment};
use crate::resolve::Mode;
use serde_json::json;
use std::fmt::Write;
use std::time::Instant;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mspec compile specs/shakespeare-gpt.ms
  mspec compile specs/wine.ms --emit kernels")]
pub struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// Prints what a stage made
    #[arg(long, value_enum)]
    emit: Option<Stage>,
    /// Prints the summary as JSON
    #[arg(long)]
    json: bool,
    /// Threads of a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The syntax tree
    Ast,
    /// The resolved model: indexed equations
    Model,
    /// Name, shape and initialiser of every parameter
    Params,
    /// The training program before differentiation, with placeholders for gradients
    Graph,
    /// With gradients and updates
    Grad,
    /// Simplified
    Simple,
    /// Fused kernels and the order of their calls
    Kernels,
    /// Addresses
    Plan,
    /// Cranelift's code of each kernel
    Clif,
    /// Machine code of each kernel
    Asm,
    /// The simplified graph for Graphviz
    Dot,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let loaded = session::load(&arguments.spec.spec, &arguments.spec.overrides)?;
    if arguments.emit == Some(Stage::Ast) {
        return streams::result(&loaded.spec.file);
    }
    let (experiment, dataset) = &session::examine(loaded)?;
    let opened = started.elapsed();
    diagnostics::print(&experiment.spec.sources, &experiment.lint()?);
    match arguments.emit {
        Some(stage) => streams::result(emit(experiment, stage)?),
        None => {
            let threads = threads(arguments.threads.map(usize::from));
            let compiling = Instant::now();
            let mut summary = Summary::of(experiment, threads)?;
            let seconds = compiling.elapsed().as_secs_f64();
            if experiment.train.is_some() {
                summary.memory = training_memory(experiment, dataset.as_ref(), threads)?;
            }
            match arguments.json {
                true => streams::result_line(summary.json(seconds)),
                false => streams::result(summary.text(opened.as_secs_f64(), seconds)),
            }
        }
    }
}

fn emit(experiment: &Experiment, stage: Stage) -> Result<String, Failure> {
    let batch = experiment.train.as_ref().map_or(1, |t| t.part());
    let mode = if experiment.train.is_some() {
        Mode::Training
    } else {
        Mode::Prediction
    };
    let listing = |graph: &Graph| graph.listing(Some(&experiment.spec.sources));
    let compiled = || -> Result<Compiled, Failure> { Ok(pipeline::compile(&training_graph(experiment)?, None)) };
    Ok(match stage {
        Stage::Ast => unreachable!("printed before anything is resolved"),
        Stage::Model => experiment.program(mode, batch)?.to_string(),
        Stage::Params => params_text(&experiment.declarations()?.params),
        Stage::Graph => listing(&crate::build::build(&*experiment.program(mode, batch)?)),
        Stage::Grad => listing(&training_graph(experiment)?),
        Stage::Simple => listing(&compiled()?.graph),
        Stage::Kernels => compiled()?.schedule.to_string(),
        Stage::Plan => compiled()?.plan.to_string(),
        Stage::Dot => compiled()?.graph.dot(),
        Stage::Clif | Stage::Asm => {
            let kernels = compiled()?.plan.kernels;
            let target = Target::native(&kernels).map_err(crate::machine::MachineError::from)?;
            let mut text = String::new();
            for kernel in &kernels {
                let code = match stage {
                    Stage::Clif => clif_text(kernel, &target),
                    _ => assembly_text(kernel, &target),
                };
                text += &code.map_err(crate::machine::MachineError::from)?;
                text.push('\n');
            }
            text
        }
    })
}

fn training_graph(experiment: &Experiment) -> Result<Graph, Failure> {
    match experiment.train {
        Some(_) => Ok(experiment.training_graph()?),
        None => Ok(experiment.prediction(1)?),
    }
}

fn params_text(params: &[ParamDeclaration]) -> String {
    let width = params.iter().map(|p| p.path.len()).max().unwrap_or(0);
    let mut text = String::new();
    for p in params {
        let frozen = if p.frozen { "  frozen" } else { "" };
        let shape = format!("{:?}", p.shape);
        let _ = writeln!(text, "{:<width$}  {shape:<16}  {:?}{frozen}", p.path, p.initialiser);
    }
    text
}

/// What a training maps for data: its programs and those of its evaluation share one memory.
fn training_memory(
    experiment: &Experiment,
    dataset: Option<&Dataset>,
    threads: usize,
) -> Result<MachineMemory, Failure> {
    let settings = &experiment.data.split;
    let samples = |part| match dataset {
        Some(dataset) => dataset.samples(part),
        // A whole batch needs no less than the short one behind it.
        None if settings.validation > 0.0 || settings.fold.is_some() => {
            experiment.train.as_ref().map_or(1, |t| t.part())
        }
        None => 0,
    };
    let built = programs::programs(experiment, &samples, true, &[Part::Validation], threads)?;
    Ok(MachineMemory::of(&built.list, threads))
}

struct Summary {
    name: String,
    blocks: Vec<(String, usize)>,
    contract_flops: u64,
    kernels: usize,
    launches: usize,
    nodes: usize,
    memory: MachineMemory,
    code_bytes: usize,
}

impl Summary {
    fn of(experiment: &Experiment, threads: usize) -> Result<Summary, Failure> {
        let compiled = pipeline::compile(&training_graph(experiment)?, None);
        experiment.spec.storable(&compiled)?;
        let program = Program::compile(&compiled.plan, threads)?;
        let mut blocks: Vec<(String, usize)> = vec![];
        for param in &experiment.declarations()?.params {
            let block: Vec<&str> = param.path.split('.').take(2).collect();
            let block = block.join(".");
            match blocks.last_mut().filter(|b| b.0 == block) {
                Some(last) => last.1 += elements(&param.shape),
                None => blocks.push((block, elements(&param.shape))),
            }
        }
        Ok(Summary {
            name: experiment.name.clone(),
            blocks,
            contract_flops: flops::of_products(&compiled.graph),
            kernels: compiled.plan.kernels.len(),
            launches: compiled.plan.launches.len(),
            nodes: compiled.graph.len(),
            code_bytes: program.code_bytes(),
            memory: MachineMemory::of(&[program], threads),
        })
    }

    fn parameters(&self) -> usize {
        self.blocks.iter().map(|b| b.1).sum()
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        json!({
            "model": self.name,
            "parameters": self.parameters(),
            "blocks": self.blocks.iter().map(|(n, c)| (n.clone(), json!(c))).collect::<serde_json::Map<_, _>>(),
            "matrix_product_gflop_per_step": self.contract_flops as f64 / 1e9,
            "nodes": self.nodes,
            "kernels": self.kernels,
            "calls": self.launches,
            "persistent_bytes": self.memory.persistent,
            "transient_bytes": self.memory.transient,
            "scratch_bytes": self.memory.scratch * self.memory.threads,
            "arena_bytes": self.memory.bytes(),
            "code_bytes": self.code_bytes,
            "compile_s": seconds,
        })
    }

    fn text(&self, opened: f64, seconds: f64) -> String {
        let mut text = format!("{}: {} parameters\n", self.name, self.parameters());
        let width = self.blocks.iter().map(|b| b.0.len()).max().unwrap_or(0);
        for (name, count) in &self.blocks {
            let _ = writeln!(text, "  {name:<width$}  {count:>10}");
        }
        let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let _ = writeln!(
            text,
            "a step: {:.3} GFLOP in matrix products",
            self.contract_flops as f64 / 1e9
        );
        let memory = &self.memory;
        let _ = writeln!(
            text,
            "memory: {:.2} MiB = {:.2} MiB of parameters and states + {:.2} MiB within a step + {} threads × {:.2} MiB",
            mebibytes(memory.bytes()),
            mebibytes(memory.persistent),
            mebibytes(memory.transient),
            memory.threads,
            mebibytes(memory.scratch),
        );
        let _ = writeln!(
            text,
            "code:   {} nodes, {} kernels in {} calls, {} bytes",
            self.nodes, self.kernels, self.launches, self.code_bytes
        );
        let _ = writeln!(
            text,
            "time:   {:.0} ms to read and check, {:.0} ms to compile",
            opened * 1e3,
            seconds * 1e3
        );
        text
    }
}
