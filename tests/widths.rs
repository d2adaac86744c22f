//! Every spec that ships with its data, trained for a few steps at every register width of this machine and on one and
//! two threads: all losses, gradient norms and parameter norms have the same bits.

use mspec::{data, pipeline};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Trains and records; the width is forced where one is given.
fn record(spec: &Path, precision: &str, bits: &str, threads: &str, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mspec"))
        .args([
            "bench",
            "--steps",
            "3",
            "--threads",
            threads,
            "--precision",
            precision,
            "--record",
        ])
        .args([file, spec])
        .env("MSPEC_SIMD", bits)
        .output()
        .unwrap()
}

fn specs() -> Vec<PathBuf> {
    let files = std::fs::read_dir("specs").unwrap().map(|entry| entry.unwrap().path());
    let specs = files.filter(|f| f.extension().is_some_and(|e| e == "ms"));
    let mut specs: Vec<PathBuf> = specs.filter(|spec| ships_with_its_data(spec)).collect();
    specs.sort();
    specs
}

fn ships_with_its_data(spec: &Path) -> bool {
    let read = |at: &Path| std::fs::read(at).map_err(|e| e.to_string());
    let loaded = pipeline::load(spec, &[], &read).unwrap();
    data::open(&loaded.data().unwrap(), spec.parent().unwrap()).is_ok()
}

/// Every width, with one thread and with two, gives one record.
fn check(spec: &Path, precision: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut first: Option<(String, String)> = None;
    for bits in mspec::codegen::target::Target::widths() {
        for threads in ["1", "2"] {
            let name = format!("{precision}, {bits} bits, {threads} threads");
            let file = folder.path().join("record.json");
            let output = record(spec, precision, &bits.to_string(), threads, &file);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, {name}: {error}", spec.display());
            let recorded = std::fs::read_to_string(&file).unwrap();
            match &first {
                None => first = Some((name, recorded)),
                Some((before, expected)) => {
                    assert_eq!(&recorded, expected, "{}: {name} against {before}", spec.display());
                }
            }
        }
    }
}

#[test]
fn a_training_step_has_the_same_bits_at_every_width() {
    assert!(specs().len() >= 3);
    for spec in specs() {
        check(&spec, "fp32");
    }
}

#[test]
fn so_has_one_with_numbers_of_16_bits() {
    let spec = Path::new("specs/shakespeare-gpt.ms");
    for precision in ["bf16", "f16"] {
        check(spec, precision);
    }
}

#[test]
fn a_width_that_does_not_exist_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = record(&specs()[0], "fp32", "64", "1", &folder.path().join("record.json"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("MSPEC_SIMD is `64`, not 128, 256 or 512"), "{error}");
}
