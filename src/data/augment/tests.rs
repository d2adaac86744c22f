//! Each augmentation on small pictures, and invariants of the catalog.

use super::*;
use crate::data::random::Stream;

fn draw(number: u64) -> Draw {
    Draw::new(Stream::new(7, "test").of(number))
}

fn sample(shape: Shape, pixels: impl Fn(usize) -> f32) -> Sample {
    let mut sample = Sample::new(shape, None);
    sample
        .image()
        .iter_mut()
        .enumerate()
        .for_each(|(at, pixel)| *pixel = pixels(at));
    sample
}

fn grey(rows: usize, columns: usize) -> Shape {
    Shape {
        rows,
        columns,
        channels: 1,
    }
}

/// Pixels 1, 2, … of a grey picture, changed once.
fn changed(name: &str, values: &[f64], shape: Shape, number: u64) -> Vec<f32> {
    let mut sample = sample(shape, |at| at as f32 + 1.0);
    change(name, values, number, &mut sample);
    sample.image().to_vec()
}

fn change(name: &str, values: &[f64], number: u64, sample: &mut Sample) {
    match find(name).unwrap().action() {
        Action::Change(change) => change(values, &mut draw(number), sample),
        Action::Mix(_) => panic!("{name} mixes"),
    }
}

#[test]
fn the_catalog_is_in_order() {
    let reference = std::fs::read_to_string("grammar/REFERENCE.md").unwrap();
    let mut names: Vec<&str> = CATALOG.iter().map(|a| a.name()).collect();
    for augmentation in CATALOG {
        let parameters: Vec<&str> = augmentation.parameters().iter().map(|p| p.name).collect();
        let call = format!("`{}({})`", augmentation.name(), parameters.join(", "));
        let line = format!("| {call} | {} |", augmentation.summary().replace("  ", " "));
        assert!(reference.contains(&line), "the reference lacks\n{line}");
        for p in augmentation.parameters() {
            assert!(p.least < p.most && p.default.is_none_or(|d| (p.least..=p.most).contains(&d)));
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CATALOG.len(), "names are unique");
}

#[test]
fn shift_and_crop_move_whole_pixels_and_reach_every_place() {
    for name in ["shift", "crop"] {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200 {
            let found = changed(name, &[1.0], grey(3, 3), number);
            let moved = |rows: i64, columns: i64| -> Vec<f32> {
                let at = |i: i64| {
                    let (r, c) = (i / 3 + rows, i % 3 + columns);
                    let inside = (0..3).contains(&r) && (0..3).contains(&c);
                    if inside { (3 * r + c + 1) as f32 } else { 0.0 }
                };
                (0..9).map(at).collect()
            };
            let places = (-1..=1).flat_map(|r| (-1..=1).map(move |c| (r, c)));
            let place = places.into_iter().find(|&(r, c)| moved(r, c) == found);
            seen.insert(place.unwrap_or_else(|| panic!("{name} gives {found:?}")));
        }
        assert_eq!(seen.len(), 9, "{name}: {seen:?}");
    }
}

#[test]
fn flip_is_a_mirror() {
    assert_eq!(
        changed("flip", &[1.0, 0.0], grey(2, 3), 1),
        [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]
    );
    assert_eq!(
        changed("flip", &[0.0, 1.0], grey(2, 3), 1),
        [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]
    );
    assert_eq!(
        changed("flip", &[0.0, 0.0], grey(2, 3), 1),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    let mirrored = (0..1000).filter(|&n| changed("flip", &[0.25, 0.0], grey(1, 2), n) == [2.0, 1.0]);
    // Four standard deviations of a binomial: 4·√(1000·0.25·0.75).
    assert!((mirrored.count() as i64 - 250).abs() < 55);
}

#[test]
fn turning_leaning_and_scaling_keep_the_centre_and_stay_in_range() {
    let limits: [(&str, &[f64]); 3] = [("rotate", &[30.0]), ("shear", &[30.0]), ("scale", &[0.5, 2.0])];
    for (name, values) in limits {
        let mut different = false;
        for number in 0..20 {
            let found = changed(name, values, grey(5, 5), number);
            assert!((found[12] - 13.0).abs() < 1e-4, "{name}: {found:?}");
            assert!(found.iter().all(|&p| (0.0..=25.0).contains(&p)), "{name}: {found:?}");
            different |= found != changed(name, values, grey(5, 5), number + 1);
        }
        assert!(different, "{name} draws");
    }
}

#[test]
fn a_turn_goes_by_its_angle() {
    // A picture that rises to the right, one a column, turned by t about its centre: c·cos t − r·sin t there.
    let shape = grey(41, 41);
    let mut turned = sample(shape, |at| (at % 41) as f32 - 20.0);
    change("rotate", &[30.0], 3, &mut turned);
    let angle = draw(3).between(-30.0, 30.0).to_radians();
    for (row, column) in [(20, 25), (10, 20), (26, 14)] {
        let (r, c) = (row as f64 - 20.0, column as f64 - 20.0);
        let expected = c * angle.cos() - r * angle.sin();
        let found = f64::from(turned.image()[row * 41 + column]);
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
    }
}

#[test]
fn resized_crop_shows_a_part_as_large_as_it_says() {
    // On a picture that rises by 1 a column, the rise that is left is the part's width by the picture's.
    let shape = grey(40, 40);
    let mut areas = vec![];
    for number in 0..100 {
        let mut part = sample(shape, |at| (at % 40) as f32);
        change("resized_crop", &[0.25, 0.5, 1.0 + 1e-9], number, &mut part);
        let middle = &part.image()[20 * 40..21 * 40];
        let side = f64::from(middle[21] - middle[20]);
        assert!((0.499..=0.7072).contains(&side), "{side}");
        areas.push(side * side);
    }
    assert!(
        areas.iter().any(|a| *a < 0.3) && areas.iter().any(|a| *a > 0.45),
        "{areas:?}"
    );
}

#[test]
fn brightness_and_contrast_stay_between_black_and_white() {
    for name in ["brightness", "contrast"] {
        let mut changes = 0;
        for number in 0..50 {
            let mut picture = sample(grey(1, 4), |at| [0.1, 0.4, 0.6, 1.0][at]);
            change(name, &[0.5], number, &mut picture);
            let found = picture.image().to_vec();
            assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
            assert!(found.is_sorted(), "{found:?}");
            changes += usize::from((found[1] - 0.4).abs() > 1e-3);
        }
        assert!(changes > 40, "{name} changed {changes} of 50");
    }
    let mut same = sample(grey(1, 2), |at| at as f32 / 2.0);
    change("brightness", &[0.0], 1, &mut same);
    assert_eq!(same.image(), [0.0, 0.5]);
}

#[test]
fn noise_has_its_deviation() {
    let mut picture = sample(grey(100, 100), |_| 0.5);
    change("noise", &[0.1], 1, &mut picture);
    let n = 10_000.0;
    let deviations = picture.image().iter().map(|&p| f64::from(p) - 0.5);
    let (sum, squares) = deviations.fold((0.0, 0.0), |(s, q), d| (s + d, q + d * d));
    // Four standard errors: 4·0.1/√n, and 4·√2·0.01/√n of the variance.
    assert!((sum / n).abs() < 0.004, "{sum}");
    assert!((squares / n - 0.01).abs() < 0.0006, "{squares}");
}

#[test]
fn cutout_is_a_square_that_the_border_may_cut() {
    let mut whole = 0;
    for number in 0..100 {
        let mut picture = sample(grey(9, 9), |_| 1.0);
        change("cutout", &[3.0], number, &mut picture);
        let black = picture.image().iter().filter(|&&p| p == 0.0).count();
        assert!([4, 6, 9].contains(&black), "{black}");
        whole += usize::from(black == 9);
    }
    assert!(whole > 30, "{whole}");
}

fn mixed(name: &str, alpha: f64, number: u64) -> (Vec<f32>, f64) {
    let mut first = sample(grey(10, 10), |_| 1.0);
    let second = sample(grey(10, 10), |_| 0.0);
    let Action::Mix(mix) = find(name).unwrap().action() else {
        panic!("{name} mixes")
    };
    let share = mix(&[alpha], &mut draw(number), &mut first, &second);
    (first.image().to_vec(), share)
}

#[test]
fn mixed_pictures_have_the_share_that_is_told() {
    for number in 0..100 {
        let (pixels, share) = mixed("mixup", 0.4, number);
        assert!(pixels.iter().all(|&p| f64::from(p) == share), "{share}");
        let (pixels, share) = mixed("cutmix", 1.0, number);
        let first = pixels.iter().filter(|&&p| p == 1.0).count();
        assert_eq!(first as f64 / 100.0, (share * 100.0).round() / 100.0);
        assert!(pixels.iter().all(|&p| p == 0.0 || p == 1.0));
    }
}

#[test]
fn beta_has_its_moments() {
    for alpha in [0.2, 1.0, 4.0] {
        let mut draw = draw(1);
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|_| draw.beta(alpha)).collect();
        assert!(values.iter().all(|v| (0.0..=1.0).contains(v)));
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - 0.5).powi(2)).sum::<f64>() / f64::from(n);
        let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
        // Four standard errors of the mean; of the variance at most 4·√(1/16/n).
        assert!(
            (mean - 0.5).abs() < 4.0 * (expected / f64::from(n)).sqrt(),
            "{alpha}: {mean}"
        );
        assert!((variance - expected).abs() < 0.0071, "{alpha}: {variance}");
    }
}

#[test]
fn movements_are_carried_out_at_once_and_alike_for_picture_and_mask() {
    let shape = grey(6, 5);
    let mut sample = Sample::new(shape, Some(255));
    let image = |at: usize| (at + 1) as f32;
    sample.image().iter_mut().enumerate().for_each(|(at, p)| *p = image(at));
    sample
        .mask()
        .iter_mut()
        .enumerate()
        .for_each(|(at, p)| *p = at as u8 + 1);
    // Out of the picture and back again: nothing is lost, because nothing was read in between.
    sample.place(Affine::translation(0.0, 5.0));
    sample.place(Affine::translation(0.0, -5.0));
    assert_eq!(sample.image()[7], 8.0);
    sample.place(Affine::scaling(1.0, -1.0));
    sample.place(Affine::translation(1.0, 1.0));
    // First the mirror, then the movement: the upper left pixel was one down and one right of the mirror image.
    assert_eq!(sample.image()[0], image(5 + 3));
    let alike = |(image, mask): (f32, u8)| {
        if image == 0.0 {
            mask == 255
        } else {
            image == f32::from(mask)
        }
    };
    let masks = sample.mask().to_vec();
    assert!(sample.image().iter().copied().zip(masks).all(alike));
}

#[test]
fn a_position_between_pixels_is_their_weighted_mean() {
    let mut picture = sample(grey(2, 2), |at| [0.0, 4.0, 8.0, 12.0][at]);
    picture.place(Affine::translation(0.25, 0.5));
    // The right and lower neighbours of the last row and column are black.
    assert_eq!(picture.image(), [4.0, 3.0, 7.5, 4.5]);
}

#[test]
fn draws_are_a_function_of_seed_epoch_and_record() {
    let numbers = |seed: u64, sample: u64| {
        let mut draw = Draw::new(Stream::new(seed, "data/augment").of(sample));
        (0..4).map(|_| draw.uniform()).collect::<Vec<f64>>()
    };
    assert_eq!(numbers(1, 5), numbers(1, 5));
    assert_ne!(numbers(1, 5), numbers(2, 5));
    assert_ne!(numbers(1, 5), numbers(1, 6));
    assert_ne!(numbers(1, 5), numbers(1, 5 | 1 << 32));
}
