//! Tiny data in the formats of data sets that can't be shipped.

use image::{GrayImage, Luma, Rgb, RgbImage};
use mspec::ir::experiment::{DataSettings, Source, StatedTensor, Tokens};
use mspec::ir::graph::Element;
use safetensors::{Dtype, tensor::TensorView};
use std::path::Path;

/// Makes data of a kind in a folder and lets the settings name it.
pub fn make(kind: &str, folder: &Path, settings: &mut DataSettings) {
    match (&mut settings.source, kind) {
        (Source::Images(images), "cifar") => {
            images.path.path = ".".into();
            cifar(folder);
        }
        (Source::Images(images), "classes") => {
            images.path.path = ".".into();
            classes(folder);
        }
        (Source::Images(images), "masks") => {
            images.path.path = "images".into();
            images.masks.as_mut().expect("the spec has masks").path = "masks".into();
            masks(folder);
        }
        (Source::Tensors { path, stated, .. }, "samples") => {
            path.path = "samples.safetensors".into();
            samples(stated, &folder.join("samples.safetensors"));
        }
        (Source::Tensors { path, .. }, tensors) => {
            path.path = "batches.safetensors".into();
            batches(tensors, &folder.join("batches.safetensors"));
        }
        (Source::Text { path, tokens, .. }, "corpus") => {
            (path.path, *tokens) = ("corpus.txt".into(), Tokens::Bytes);
            let text: String = (0..1000).map(|n| format!("word {} of many\n", n * n % 17)).collect();
            std::fs::write(folder.join("corpus.txt"), text).unwrap();
        }
        (Source::Pairs(pairs), "pairs") => {
            (pairs.path.path, pairs.tokens) = ("pairs.jsonl".into(), Tokens::Characters);
            let (source, target) = (&pairs.source, &pairs.target);
            let line = |n: u32| {
                format!(
                    "{{\"{source}\": \"{}\", \"{target}\": \"{n}\"}}\n",
                    "ab".repeat(n as usize % 5)
                )
            };
            std::fs::write(folder.join("pairs.jsonl"), (0..100).map(line).collect::<String>()).unwrap();
        }
        (Source::Csv { path, .. }, "customers") => {
            path.path = "customers.csv".into();
            // As in `modeldata`: words, numbers, and who left.
            let numbers = |n: usize| (1..=14).map(|i| format!("{},", n * i % 41)).collect::<String>();
            let line = |n: usize| {
                let word = |words: &[&'static str]| words[n % words.len()];
                format!(
                    "{},{},area_code_{},{},{},{}{}\n",
                    word(&["OH", "NJ", "KS"]),
                    n * 7 % 40,
                    word(&["408", "415", "510"]),
                    word(&["no", "yes"]),
                    word(&["no", "no", "no", "no", "yes"]),
                    numbers(n),
                    word(&["no", "no", "no", "yes"])
                )
            };
            let columns: String = (1..=14).map(|i| format!("number_{i},")).collect();
            let head = format!("state,account_length,area_code,international_plan,voice_mail_plan,{columns}churn\n");
            let lines: String = (0..60).map(line).collect();
            std::fs::write(folder.join("customers.csv"), head + &lines).unwrap();
        }
        (Source::Rows(rows), "tags") => {
            rows.path.path = "tags.tsv".into();
            let sentence = |n: u32| {
                let last = ["", "?\tPUNCT\n"][n as usize % 2];
                format!("\"\tPUNCT\nword{}\tNOUN\nNA\tVERB\n{last}\n", n % 7)
            };
            std::fs::write(folder.join("tags.tsv"), (0..40).map(sentence).collect::<String>()).unwrap();
        }
        (source, kind) => panic!("no data `{kind}` can be made for {source:?}"),
    }
}

/// CIFAR-10's binary files with four images each.
fn cifar(folder: &Path) {
    let record = |label: u8| -> Vec<u8> {
        let pixels = (0..3072usize).map(|p| (p * 7 + usize::from(label) * 25) as u8);
        std::iter::once(label).chain(pixels).collect()
    };
    for file in 1..=5u8 {
        let records: Vec<u8> = (0..4).flat_map(|n| record((2 * file + n) % 10)).collect();
        std::fs::write(folder.join(format!("data_batch_{file}.bin")), records).unwrap();
    }
    std::fs::write(folder.join("test_batch.bin"), record(3)).unwrap();
}

/// Three classes of four pictures, not square.
fn classes(folder: &Path) {
    for class in 0..3u8 {
        let at = folder.join(format!("class-{class}"));
        std::fs::create_dir(&at).unwrap();
        for n in 0..4u32 {
            let colour = |x: u32, y: u32| Rgb([(x * 5) as u8, (y * 5 + n) as u8, class * 100]);
            RgbImage::from_fn(48, 40, colour)
                .save(at.join(format!("{n}.png")))
                .unwrap();
        }
    }
}

/// Ten pictures with masks of two classes.
fn masks(folder: &Path) {
    for name in ["images", "masks"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for n in 0..10u32 {
        let inside = |x: u32, y: u32| (x + y + n).is_multiple_of(3);
        let picture = RgbImage::from_fn(24, 20, |x, y| {
            Rgb([if inside(x, y) { 200 } else { 20 }, x as u8, y as u8])
        });
        picture.save(folder.join(format!("images/{n}.png"))).unwrap();
        let mask = GrayImage::from_fn(24, 20, |x, y| Luma([u8::from(inside(x, y))]));
        mask.save(folder.join(format!("masks/{n}.png"))).unwrap();
    }
}

/// Four hundred samples of ids with the sizes and bounds that the spec states.
fn samples(ids: &[StatedTensor], file: &Path) {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = ids
        .iter()
        .map(|stated| {
            let sizes = stated.sizes(ids).expect("the spec states sizes");
            let shape: Vec<usize> = std::iter::once(400).chain(sizes).collect();
            let Element::Id { bound } = stated.element else {
                panic!("only ids are made")
            };
            let value = |i: usize| (i * 7 % bound) as i32;
            let bytes = (0..shape.iter().product())
                .flat_map(|i| value(i).to_le_bytes())
                .collect();
            (stated.name.clone(), shape, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::I32, shape.clone(), bytes).unwrap()));
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Two numbered batches of the tensors of a description such as `inputs:f32[2,784],targets:i32[2]`.
fn batches(description: &str, file: &Path) {
    let mut tensors = vec![];
    for part in description.split_terminator(']') {
        let (name, rest) = part.trim_start_matches(',').split_once(':').expect("name:type[sizes]");
        let (element, sizes) = rest.split_once('[').expect("type[sizes]");
        let sizes: Vec<usize> = sizes.split(',').map(|s| s.parse().unwrap()).collect();
        let elements: usize = sizes.iter().product();
        for batch in 0..2usize {
            let (dtype, bytes): (Dtype, Vec<u8>) = match element {
                "f32" => {
                    let value = |i: usize| ((i * 37 + batch) % 101) as f32 / 50.0 - 1.0;
                    (Dtype::F32, (0..elements).flat_map(|i| value(i).to_le_bytes()).collect())
                }
                "masked" => {
                    // Every other one is -100, as targets that do not count are marked.
                    let value = |i: usize| {
                        if i.is_multiple_of(2) {
                            ((i + batch) % 5) as i32
                        } else {
                            -100
                        }
                    };
                    (Dtype::I32, (0..elements).flat_map(|i| value(i).to_le_bytes()).collect())
                }
                _ => {
                    let value = |i: usize| ((i + batch) % 5) as i32;
                    (Dtype::I32, (0..elements).flat_map(|i| value(i).to_le_bytes()).collect())
                }
            };
            tensors.push((format!("{name}.{batch}"), dtype, sizes.clone(), bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).unwrap()));
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}
