//! The command line: one file for each subcommand. Results go to standard output, everything else to standard
//! error; exit codes are in [`failure`]. Nothing here computes; it reads arguments, calls, and tells.

mod bench;
mod check;
mod compile;
mod diagnostics;
mod eval;
mod explain;
mod export;
mod failure;
mod fmt;
mod generate;
mod outcome;
mod profile;
mod programs;
mod progress;
mod ranking;
mod report;
mod search;
mod session;
mod standard;
mod streams;
mod train;
mod training;
mod tune;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Exit codes:
    0  done
    1  the spec has errors, or `fmt --check` found a difference
    2  usage
    3  data or file
    4  training diverged
    5  a checkpoint, weights or a name map do not fit
  101  a bug of mspec
  130  interrupted, 143 terminated: after saving

Try it:
  mspec train specs/wine.ms
  mspec train specs/shakespeare-gpt.ms --set train.steps=200
  mspec generate runs/gpt/… --prompt \"ROMEO:\"";

/// Trains neural networks that are described in one readable file, with kernels compiled for exactly that model.
#[derive(Parser)]
#[command(name = "mspec", version, after_help = AFTER_HELP, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds every mistake of a spec, without training
    Check(check::Arguments),
    /// Compiles a spec and prints a summary, or what one stage made
    Compile(compile::Arguments),
    /// Trains a spec, or continues a run
    Train(train::Arguments),
    /// Trains a spec with many settings, on folds if asked, and tells which is best
    Tune(tune::Arguments),
    /// Evaluates a run on one part of its data
    Eval(eval::Arguments),
    /// Continues a text with a run's language model
    Generate(generate::Arguments),
    /// Brings specs into the canonical layout
    Fmt(fmt::Arguments),
    /// Explains the code of a diagnostic
    Explain(explain::Arguments),
    /// Lists what the standard library defines, or tells all about one definition
    Std(standard::Arguments),
    /// Writes a run's weights under other names
    Export(export::Arguments),
    /// Measures training steps, and records them for comparisons
    Bench(bench::Arguments),
    /// Tells where a training step spends its time, kernel by kernel
    Profile(profile::Arguments),
}

/// What commands that read a spec have in common.
#[derive(Args, Clone)]
struct SpecArguments {
    /// The spec, or - for standard input
    #[arg(value_name = "FILE")]
    spec: PathBuf,
    /// Changes a value of the spec, as train.steps=100, train.optimizer.lr=1e-4 or model.width=64
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_override)]
    overrides: Vec<(String, String)>,
}

fn parse_override(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() && !value.is_empty() => Ok((path.trim().into(), value.trim().into())),
        _ => Err("expected PATH=VALUE, as train.steps=100".into()),
    }
}

/// Threads of a step; by default as many as the machine runs at once.
fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Std(arguments) => standard::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
