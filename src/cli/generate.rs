//! `mspec generate RUN`: a text's continuation, token by token. Needs the run's folder alone, not its data.

use super::eval::weights;
use super::failure::Failure;
use super::session::{self, KeptData};
use super::{programs, streams, threads};
use crate::data::random::Stream;
use crate::data::{Values, Vocabulary};
use crate::ir::graph::OutputKind;
use crate::machine::{Machine, Program, ProgramId};
use crate::pipeline;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Memory};
use crate::train::generate::{Sampling, choose, fill_window};
use crate::train::run_folder::{Resolved, RunFolder};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  mspec generate runs/gpt/20261123T185726Z-1c2d3e4f --prompt \"ROMEO:\" --tokens 300"
)]
pub struct Arguments {
    /// The run's folder
    run: PathBuf,
    /// The text that is continued
    #[arg(long, default_value = "\n")]
    prompt: String,
    /// How many tokens follow
    #[arg(long, value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// Below 1 likelier, above 1 more varied; 0 always takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    temperature: f64,
    /// Only this many likeliest tokens are candidates
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Of the draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Threads of a step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.temperature.is_finite() || arguments.temperature < 0.0 {
        return Err(Failure::Usage("--temperature is a number of at least 0".into()));
    }
    let folder = RunFolder::open(&arguments.run)?;
    let resolved: Resolved = folder.read_json("resolved.json")?;
    let kept: KeptData = folder.read_json("data.json")?;
    let vocabulary: Vocabulary = serde_json::from_value(kept.fitted["vocabulary"].clone()).map_err(|_| {
        TrainError::does_not_fit(format!("{} did not learn from a text", folder.path().display()))
            .help("`generate` continues the text of a language model")
    })?;
    let mut text = encode(&vocabulary, &arguments.prompt)?;
    let experiment = session::load_run(folder.path(), &resolved)?.spec.resolve(kept.schema)?;
    let states = experiment.declarations()?.states;
    let compiled = pipeline::compile(&experiment.prediction(1)?, None);
    let threads = threads(arguments.threads.map(usize::from));
    let program = Program::compile(&compiled.plan, threads)?;
    let mut machine = Machine::new(vec![program], threads)?;
    let memory = Memory::of(&machine, &states);
    let (weights, origin, _) = weights(&folder)?;
    checkpoint::restore(&weights, &mut machine, &memory.model, &origin)?;
    let machine = programs::train_machine(&mut machine);
    let program = ProgramId(0);
    let ([input], Some((output, vocabulary_size))) = (machine.inputs(program), scores_of(machine, program)) else {
        return Err(TrainError::does_not_fit("the model does not give scores for each token of a text alone").into());
    };
    let mut window = Values::Id(vec![0; input.shape.iter().product()]);
    let stream = Stream::new(arguments.seed, "generate");
    let mut out = std::io::stdout().lock();
    let fail = |e: std::io::Error| streams::unwritten(&e);
    out.write_all(arguments.prompt.as_bytes()).map_err(fail)?;
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k.map(|k| k as usize),
    };
    for index in 0..arguments.tokens as u64 {
        let Values::Id(ids) = &mut window else {
            unreachable!("made of ids above")
        };
        let last = fill_window(&text, ids);
        machine.write_input(program, 0, &window, 0);
        machine.prepare(program, &[], [0, 0]);
        machine.run(program);
        let scores = &machine.output(program, output)[last * vocabulary_size..(last + 1) * vocabulary_size];
        let token = choose(scores, sampling, &stream, index);
        text.push(token as i32);
        out.write_all(&vocabulary.decode(token))
            .and_then(|()| out.flush())
            .map_err(fail)?;
    }
    out.write_all(b"\n").map_err(fail)?;
    Ok(())
}

fn encode(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<i32>, Failure> {
    if prompt.is_empty() {
        return Err(Failure::Usage("--prompt needs at least one character".into()));
    }
    vocabulary.encode(prompt).map_err(|character| {
        let known = match vocabulary {
            Vocabulary::Characters(known) => format!(": {}", known.escape_debug()),
            _ => String::new(),
        };
        Failure::Usage(format!(
            "the prompt has `{character}`, which is not in the vocabulary that the run has learned{known}"
        ))
    })
}

/// The output `[1, time, vocab]`, and the size of the vocabulary.
fn scores_of(machine: &dyn crate::train::Machine, program: ProgramId) -> Option<(usize, usize)> {
    let outputs = machine.outputs(program);
    let index = outputs
        .iter()
        .position(|o| matches!(o.kind, OutputKind::Value(_)) && o.shape.len() == 3 && o.shape[0] == 1)?;
    Some((index, outputs[index].shape[2]))
}
