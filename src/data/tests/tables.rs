//! Tables: what is fitted on the training rows, and what is wrong in which cell.

use super::*;

#[test]
fn a_table_is_fitted_on_its_training_rows() {
    let folder = folder(&[("t.csv", TABLE.as_bytes())]);
    let data = open(&csv("kind", false, Missing::Fill), folder.path()).unwrap();
    let names: Vec<_> = data
        .schema()
        .tensors
        .iter()
        .map(|t| (t.name.as_str(), t.element, t.category))
        .collect();
    assert_eq!(
        names,
        [
            ("features", Element::Real, false),
            ("shade", Element::Id { bound: 3 }, true),
            ("target", Element::Id { bound: 2 }, false),
            ("categories", Element::Id { bound: 3 }, false)
        ]
    );
    // Training rows 1..3: size has mean 2, weight mean 20; green is not seen there and gets the id behind the last.
    let unit = (2.0f64 / 3.0).sqrt();
    let batch = evaluate(&data, Part::Validation);
    let expected = [2.0 / unit, 0.0, 3.0 / unit, 3.0 / unit, 4.0 / unit, 4.0 / unit].map(|x| x as f32);
    for (found, expected) in reals(&batch, "features").into_iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 2.0 * f32::EPSILON * expected.abs(),
            "{found} {expected}"
        );
    }
    assert_eq!(ids(&batch, "shade"), [2, 0, 1]);
    assert_eq!(ids(&batch, "target"), [1, 0, 1]);
    let dropped = open(&csv("kind", false, Missing::Drop), folder.path()).unwrap();
    assert_eq!(Part::ALL.map(|p| dropped.samples(p)), [2, 3, 0]);
    let number = open(&csv("size", true, Missing::Fill), folder.path()).unwrap();
    let target = number.schema().tensors.iter().find(|t| t.name == "target").unwrap();
    assert_eq!(target.element, Element::Real);
}

#[test]
fn table_errors_name_line_column_and_cell() {
    let check = |table: &str, settings: &DataSettings| error(settings, &folder(&[("t.csv", table.as_bytes())]));
    insta::assert_snapshot!(check(TABLE, &csv("kind", false, Missing::Refuse)), @r"
    t.csv, line 5: `weight` is missing
    help: write `missing fill` or `missing drop` in `data`, or leave the column out
    ");
    insta::assert_snapshot!(check(&TABLE.replace("50", "5O"), &csv("kind", false, Missing::Fill)), @r#"
    t.csv, line 6: `weight` is `5O`, expected a number
    help: mend the cell, or write `category "weight"` if the column holds kinds of things
    "#);
    insta::assert_snapshot!(check(TABLE, &csv("king", false, Missing::Fill)), @r"
    t.csv has no column `king`
    help: did you mean `kind`?
    ");
    insta::assert_snapshot!(check(&format!("{TABLE}7,red\n"), &csv("kind", false, Missing::Fill)), @"t.csv, line 8: 2 cells, expected 4 as in the head line");
    insta::assert_snapshot!(check(&TABLE.replace("60,b", "60,c"), &csv("kind", false, Missing::Fill)), @r"
    t.csv, line 7: class `c` of `kind` does not occur in the training part
    help: write `stratified` behind `split`, so that each part has every class
    ");
    insta::assert_snapshot!(check("a,kind,colour\n", &csv("kind", false, Missing::Fill)), @"t.csv has a head line and no rows");
}

#[test]
fn a_column_without_values_is_told() {
    let check = |table: &str, missing| error(&csv("kind", false, missing), &folder(&[("t.csv", table.as_bytes())]));
    // The first three rows are trained on.
    let unseen = TABLE
        .replace("\n1,", "\n,")
        .replace("\n2,", "\n,")
        .replace("\n3,", "\n,");
    insta::assert_snapshot!(check(&unseen, Missing::Fill), @r#"
    t.csv: `size` has no values in the training part
    help: write `ignore "size"`, or let more rows be trained on
    "#);
    let none = "colour,a,kind\nu,,x\nv,NA,y\nu,,x\nv,,y\nu,,x\nv,,y\n";
    let said = "t.csv: `a` has no values\nhelp: write `ignore \"a\"`";
    assert_eq!(check(none, Missing::Fill), said);
    assert_eq!(check(none, Missing::Drop), said);
}

#[test]
fn a_target_is_mended_or_its_row_dropped() {
    let number = "size,colour,weight,kind\n1,red,1,a\n2,blue,inf,b\n3,red,3,a\n4,blue,4,b\n5,red,5,a\n6,red,6,b\n";
    let check = |table: &str, settings: &DataSettings| error(settings, &folder(&[("t.csv", table.as_bytes())]));
    insta::assert_snapshot!(check(number, &csv("weight", true, Missing::Fill)), @r"
    t.csv, line 3: `weight` is `inf`, expected a number
    help: mend the cell
    ");
    insta::assert_snapshot!(check(&number.replace("inf", "two"), &csv("weight", true, Missing::Fill)), @r"
    t.csv, line 3: `weight` is `two`, expected a number
    help: mend the cell; a target of words is a class: leave `real` out
    ");
    insta::assert_snapshot!(check(&number.replace("inf", "NaN"), &csv("weight", true, Missing::Refuse)), @r"
    t.csv, line 3: `weight` is missing
    help: write `missing drop` in `data` to leave such rows out
    ");
    insta::assert_snapshot!(check(&number.replace('\n', "\r"), &csv("weight", true, Missing::Refuse)), @r"
    t.csv, line 3: `weight` is `inf`, expected a number
    help: mend the cell
    ");
}
