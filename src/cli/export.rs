//! `mspec export RUN`: a run's weights, under our names or another program's.

use super::eval::weights;
use super::failure::Failure;
use super::streams;
use crate::train::disk;
use crate::train::name_map::NameMap;
use crate::train::run_folder::RunFolder;
use crate::train::weights::write_safetensors;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "\
A name map is a text file with a rule a line, from their names to ours; export reads it backwards:
  tok_emb.weight           -> gpt.wte.table
  blocks.*.mlp.fc.weight   -> gpt.*.linear.w              transpose
  blocks.*.attn.qkv.weight -> gpt.*.attention.{q,k,v}.w   split 0 transpose
  drop blocks.*.attn.mask
`*` stands for one part of a name. Operations: transpose, permute AXES, split AXIS [SIZES], join AXIS [SIZES],
unfold AXIS N, fold AXIS N.

Example:
  mspec export runs/gpt/20261123T185726Z-1c2d3e4f --names specs/bench/gpt-nano.names --out theirs.safetensors")]
pub struct Arguments {
    /// The run's folder
    run: PathBuf,
    /// The name map; without one the names are ours
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let map = arguments
        .names
        .as_deref()
        .map_or(Ok(NameMap::identity()), NameMap::read)?;
    let (mut ours, _, _) = weights(&folder)?;
    // A checkpoint has the optimizer's states as well; they are no weights.
    ours.retain(|name, _| !name.contains('/'));
    let theirs = map.export(&ours)?;
    let list: Vec<(&str, &[usize], &[f32])> = theirs
        .iter()
        .map(|(name, t)| (name.as_str(), t.shape.as_slice(), t.values.as_slice()))
        .collect();
    disk::write_file(&arguments.out, |out| write_safetensors(out, &list))?;
    streams::result_line(format_args!("{} tensors in {}", theirs.len(), arguments.out.display()))
}
