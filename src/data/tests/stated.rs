//! Sizes that a `data` section states: without the data what these would give, with them checked against these.

use super::*;

fn bound(bound: usize) -> StatedBound {
    StatedBound {
        bound,
        span: Span::NOWHERE,
    }
}

fn stated_text(vocab: usize) -> DataSettings {
    let mut settings = settings(text(4, Tokens::Characters), 1.0, 0.0);
    if let Settings::Text { vocab: stated, .. } = &mut settings.source {
        *stated = Some(bound(vocab));
    }
    settings
}

#[test]
fn a_stated_vocabulary_is_the_schema_with_and_without_the_text() {
    let folder = folder(&[("a.txt", b"abcdefgh".as_slice())]);
    for vocab in [8, 50] {
        let settings = stated_text(vocab);
        assert_eq!(missing(&settings, folder.path()), None);
        let opened = open(&settings, folder.path()).unwrap();
        assert_eq!(Some(opened.schema()), stated(&settings).as_ref());
        assert_eq!(opened.schema().sizes[0], ("vocab".into(), vocab));
    }
    insta::assert_snapshot!(error(&stated_text(7), &folder), @r"
    a.txt needs ids below 8, the spec says `vocab 7`
    help: write `vocab 8`, or leave it out
    ");
    let elsewhere = folder.path().join("nowhere");
    assert_eq!(missing(&stated_text(7), &elsewhere), Some(elsewhere.join("a.txt")));
    assert_eq!(stated(&settings(text(4, Tokens::Characters), 1.0, 0.0)), None);
}

#[test]
fn stated_classes_and_sides_are_the_schema_with_and_without_the_images() {
    let folder = folder(&[
        ("train-images-idx3-ubyte", &idx(&[3, 2, 2], &[9; 12])),
        ("train-labels-idx1-ubyte", &idx(&[3], &[0, 2, 1])),
    ]);
    let with = |classes: usize| {
        let mut settings = images(1.0, 0.0);
        if let Settings::Images(images) = &mut settings.source {
            (images.size, images.channels, images.classes) = (Some(2), Some(1), Some(bound(classes)));
        }
        settings
    };
    let opened = open(&with(5), folder.path()).unwrap();
    let said = stated(&with(5)).unwrap();
    assert_eq!(
        (&opened.schema().tensors, &opened.schema().sizes),
        (&said.tensors, &said.sizes)
    );
    insta::assert_snapshot!(error(&with(2), &folder), @r"
    . needs ids below 3, the spec says `classes 2`
    help: write `classes 3`, or leave it out
    ");
    assert_eq!(stated(&images(1.0, 0.0)), None);
}

#[test]
fn stated_sizes_of_ids_are_the_schema_with_and_without_the_file() {
    use safetensors::Dtype::I32;
    let file = safetensors(&[
        ("a", I32, &[2, 3], le(&[0, 1, 2, 3, 4, -1])),
        ("y", I32, &[2], le(&[1, -1])),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let with = |sizes: &[usize]| {
        let mut settings = tensors(&[("a", 5), ("y", 2)], Some(-1), 1.0, 0.0);
        if let Settings::Tensors { stated, .. } = &mut settings.source {
            stated[0].sizes = Some(sizes.to_vec());
        }
        settings
    };
    let opened = open(&with(&[3]), folder.path()).unwrap();
    let said = stated(&with(&[3])).unwrap();
    assert_eq!(
        (&opened.schema().tensors, &opened.schema().sizes),
        (&said.tensors, &said.sizes)
    );
    insta::assert_snapshot!(error(&with(&[4]), &folder), @"t.safetensors: a sample of `a` is [3], the spec says [4]");
    assert_eq!(stated(&tensors(&[("a", 5)], None, 1.0, 0.0)), None);
}

#[test]
fn stated_reals_and_conditions_are_the_schema_with_and_without_the_file() {
    use safetensors::Dtype::{BOOL, F32, I32};
    let file = safetensors(&[
        ("kind", I32, &[2], le(&[0, 4])),
        ("mask", BOOL, &[2, 3], vec![1, 0, 1, 0, 0, 1]),
        ("pixels", F32, &[2, 2, 1], [0.5f32; 4].map(f32::to_le_bytes).concat()),
    ]);
    let folder = folder(&[("t.safetensors", &file)]);
    let with = |element: Element| {
        let mut settings = tensors(&[("kind", 5)], None, 1.0, 0.0);
        if let Settings::Tensors { stated, .. } = &mut settings.source {
            let tensor = |name: &str, element, sizes: &[usize]| StatedTensor {
                name: name.into(),
                element,
                sizes: Some(sizes.to_vec()),
                span: Span::NOWHERE,
            };
            stated.push(tensor("pixels", element, &[2, 1]));
            stated.push(tensor("mask", Element::Condition, &[3]));
        }
        settings
    };
    let opened = open(&with(Element::Real), folder.path()).unwrap();
    let said = stated(&with(Element::Real)).unwrap();
    assert_eq!(
        (&opened.schema().tensors, &opened.schema().sizes),
        (&said.tensors, &said.sizes)
    );
    insta::assert_snapshot!(error(&with(Element::Condition), &folder), @r"
    t.safetensors: `pixels` holds real numbers (F32), the spec says `condition`
    help: write `real pixels`, or store it in another form
    ");
}
