//! `mspec explain CODE`.

use super::failure::Failure;
use super::streams;
use crate::text::Code;
use crate::text::suggest::did_you_mean;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  mspec explain E0301")]
pub struct Arguments {
    /// As a diagnostic shows it, E0301; without one, all codes are listed
    code: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Some(wanted) = &arguments.code else {
        for code in Code::ALL {
            streams::result_line(format_args!("{code}  {}", code.title()))?;
        }
        return Ok(());
    };
    match Code::find(wanted) {
        Some(code) => streams::result_line(format_args!("{code}: {}\n\n{}", code.title(), code.explanation())),
        None => {
            let known: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
            let close = did_you_mean(wanted, known.iter().map(String::as_str));
            let close = close.map_or(String::new(), |close| format!("; {close}"));
            Err(Failure::Usage(format!("there is no code `{wanted}`{close}")))
        }
    }
}
