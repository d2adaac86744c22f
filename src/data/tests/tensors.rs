//! Files of tensors: samples, numbered batches, ids and their bounds.

use super::*;

#[test]
fn numbered_batches_come_one_after_the_other() {
    use safetensors::Dtype::{F32, I32};
    let real = |x: f32| x.to_le_bytes().to_vec();
    let file = safetensors(&[
        ("inputs.0", I32, &[2, 2], le(&[0, 1, 2, 3])),
        ("inputs.1", I32, &[2, 2], le(&[4, -100, 6, 7])),
        ("weight.0", F32, &[2], [real(0.5), real(1.5)].concat()),
        ("weight.1", F32, &[2], [real(2.5), real(3.5)].concat()),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let data = open(&tensors(&[("inputs", 8)], Some(-100), 1.0, 0.0), folder.path()).unwrap();
    assert_eq!((data.schema().batch, data.schema().epoch_samples), (Some(2), Some(4)));
    let mut sampler = data.sampler(1, 2).unwrap();
    let mut batch = Batch::new(data.schema(), 2);
    sampler.fill(2, &mut batch).unwrap();
    assert_eq!(ids(&batch, "inputs"), [4, 0, 6, 7]);
    assert_eq!(reals(&batch, "inputs_counted"), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(reals(&batch, "weight"), [2.5, 3.5]);
    sampler.fill(3, &mut batch).unwrap();
    assert_eq!(ids(&batch, "inputs"), [0, 1, 2, 3]);
    let wrong = data.sampler(1, 3).err().unwrap();
    assert_eq!(wrong.message, "the file's batches have 2 samples, but `batch` is 3");
}

#[test]
fn an_id_beyond_its_bound_is_found_when_a_batch_is_formed() {
    use safetensors::Dtype::I32;
    let file = safetensors(&[
        ("inputs.0", I32, &[2, 2], le(&[0, 1, 65, 3])),
        ("inputs.1", I32, &[2, 2], le(&[0; 4])),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let data = open(&tensors(&[("inputs", 65)], None, 1.0, 0.0), folder.path()).unwrap();
    let mut batch = Batch::new(data.schema(), 2);
    let wrong = data.sampler(1, 2).unwrap().fill(1, &mut batch).unwrap_err();
    insta::assert_snapshot!(said(wrong, &folder), @r"
    t.safetensors: `inputs.0`, sample 1, element 0 is id 65, expected 0 to 64
    help: raise the bound (`ids inputs < 66`), or mend the file
    ");
}

#[test]
fn tensor_errors_say_what_the_file_has() {
    use safetensors::Dtype::{F32, I32};
    let check = |file: &[u8], settings: &DataSettings| error(settings, &folder(&[("t.safetensors", file)]));
    let file = safetensors(&[("x", F32, &[2], le(&[0, 1])), ("y", I32, &[2], le(&[0, 1]))]);
    insta::assert_snapshot!(check(&file, &tensors(&[], None, 1.0, 0.0)), @r"
    t.safetensors: `y` holds whole numbers, and nothing says how far they go
    help: say it: `ids y < 2`, one beyond the greatest id
    ");
    insta::assert_snapshot!(check(&file, &tensors(&[("y", 2), ("z", 3)], None, 1.0, 0.0)), @r"
    t.safetensors has no tensor `z`
    help: it has x, y
    ");
    assert!(
        check(&file[..file.len() - 3], &tensors(&[("y", 2)], None, 1.0, 0.0))
            .contains("is not a whole safetensors file")
    );
    let uneven = safetensors(&[("x", F32, &[2], le(&[0, 1])), ("y", F32, &[3], le(&[0, 1, 2]))]);
    insta::assert_snapshot!(check(&uneven, &tensors(&[], None, 1.0, 0.0)), @r"
    t.safetensors: `y` has 3 samples, the tensors before it 2
    help: the first axis of every tensor is the samples
    ");
}
