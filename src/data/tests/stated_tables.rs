//! Sizes that a `data` section of a table states: the schema is the same with and without the file.

use super::*;
use crate::pipeline;
use crate::text::Sources;

/// What a `data` section says, with the texts that it is said in.
fn said_in(data: &str) -> (DataSettings, Sources) {
    let spec = format!("data {{\n{data}\n}}\nmodel m {{ features }}\n");
    let read = |_: &Path| Ok(spec.clone().into_bytes());
    let spec = pipeline::load(Path::new("s.ms"), &[], &read).unwrap_or_else(|f| panic!("{:?}", f.diagnostics));
    let settings = spec.data().unwrap_or_else(|f| panic!("{:?}", f.diagnostics));
    (settings, spec.sources)
}

/// The schema with the file is what is stated, which is given.
fn agrees(data: &str, folder: &TempDir) -> Schema {
    let settings = said_in(data).0;
    let opened = open(&settings, folder.path()).unwrap_or_else(|e| panic!("{data}: {e}"));
    let stated = stated(&settings).unwrap_or_else(|| panic!("{data} does not state all"));
    let (mut with, mut without) = (opened.schema().clone(), stated.clone());
    for schema in [&mut with, &mut without] {
        schema.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        schema.sizes.sort();
    }
    assert_eq!(
        (&with.tensors, &with.sizes),
        (&without.tensors, &without.sizes),
        "{data}"
    );
    let names = |units: &[(String, f64)]| units.iter().map(|u| u.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&with.units), names(&without.units), "{data}");
    assert_eq!(names(&with.target_units), names(&without.target_units), "{data}");
    assert_eq!(with.balanced.len(), without.balanced.len(), "{data}");
    stated
}

/// The error and the piece of the spec that it is at.
fn disagrees(data: &str, folder: &TempDir) -> String {
    let (settings, sources) = said_in(data);
    let error = open(&settings, folder.path()).err().expect("opening must fail");
    let text = sources.text(error.span).to_string();
    format!("at `{text}`: {}", said(error, folder))
}

#[test]
fn a_table_is_what_is_stated_of_it() {
    let folder = folder(&[("t.csv", TABLE.replace("NA", "40").as_bytes())]);
    let table = "csv \"t.csv\"; target kind; category colour as shade; shuffle false; normalise standard";
    for ids in ["ids shade < 4, kind < 2", "ids kind < 5; ids shade < 9"] {
        let schema = agrees(&format!("{table}; real features[2]; {ids}"), &folder);
        assert_eq!(schema.sizes.iter().find(|s| s.0 == "category_count").unwrap().1 % 5, 4);
    }
    agrees(
        &table.replace(
            "target kind",
            "target weight real; ignore kind; real features[1], weight; ids shade < 4",
        ),
        &folder,
    );
    insta::assert_snapshot!(disagrees(&format!("{table}; real features[3]; ids shade < 4, kind < 2"), &folder), @r"
    at `features[3]`: t.csv: a sample of `features` is [2], the spec says [3]
    ");
    insta::assert_snapshot!(disagrees(&format!("{table}; real features[2]; ids shade < 3, kind < 2"), &folder), @r"
    at `shade < 3`: t.csv needs ids of `shade` below 4, the last one for what the training part has not seen, the spec says `shade < 3`
    help: write `shade < 4`
    ");
    insta::assert_snapshot!(disagrees(&format!("{table}; real features[2]; ids shade < 4, kind < 1"), &folder), @r"
    at `kind < 1`: t.csv needs ids of `kind` below 2, the spec says `kind < 1`
    help: write `kind < 2`
    ");
    insta::assert_snapshot!(disagrees(&format!("{table}; ids shade < 4, kind < 2"), &folder), @r"
    at `shade < 4`: t.csv has `features` as well, of which the spec says nothing
    help: write `real features[2]`, or `ignore` and the column's name
    ");
    insta::assert_snapshot!(disagrees(&format!("{table}; real features[2]; ids shade < 4, kind < 2, size < 7"), &folder), @r"
    at `size < 7`: t.csv: there is no column `size` of kinds of things
    help: if `size` is a column of numbers, write `category size`
    ");
    let only = table.replace("category colour as shade; ", "");
    insta::assert_snapshot!(disagrees(&format!("{only}; real features[2]; ids kind < 2"), &folder), @r"
    at `features[2]`: t.csv has `colour` as well, of which the spec says nothing
    help: write `ids colour < 4`, or `ignore` and the column's name
    ");
}

#[test]
fn words_of_a_bound_that_is_stated_keep_their_ids() {
    let folder = folder(&[("t.csv", TABLE.replace("NA", "40").as_bytes())]);
    let read = |data: &str| {
        let data = format!("csv \"t.csv\"; target kind; category colour; shuffle false; {data}");
        let batch = evaluate(&open(&said_in(&data).0, folder.path()).unwrap(), Part::Train);
        (ids(&batch, "colour"), ids(&batch, "kind"))
    };
    assert_eq!(read("real features[2]; ids colour < 100, kind < 7"), read(""));
}

const TAGS: &str = "group,word,length,tag\n1,a,1,x\n1,b,2,y\n2,a,3,x\n2,a,4,x\n2,b,5,y\n3,a,6,y\n4,b,7,x\n";

#[test]
fn rows_are_what_is_stated_of_them() {
    let folder = folder(&[("t.csv", TAGS.as_bytes())]);
    let rows = "rows \"t.csv\" grouped by group; target tag; shuffle false; split train 50%, validation 50%";
    agrees(
        &format!("{rows}; real features[3, 1]; ids word[3] < 3, tag[3] < 2"),
        &folder,
    );
    agrees(
        &format!("{rows}; window 5; real features[5, 1]; ids word[5] < 8, tag[5] < 3; condition mask[5]"),
        &folder,
    );
    insta::assert_snapshot!(disagrees(&format!("{rows}; real features[4, 1]; ids word[4] < 3, tag[4] < 2"), &folder), @r"
    at `features[4, 1]`: t.csv: a sample of `features` is [3, 1], the spec says [4, 1]
    ");
    let whole = folder_of_whole();
    let rows = rows.replace("target tag", "target tag per sequence");
    agrees(
        &format!("{rows}; real features[3, 1]; ids word[3] < 3, tag < 2"),
        &whole,
    );
}

/// Sequences that have one tag each.
fn folder_of_whole() -> TempDir {
    folder(&[(
        "t.csv",
        TAGS.replace("1,b,2,y", "1,b,2,x")
            .replace("2,b,5,y", "2,b,5,x")
            .replace("1,a,1,x", "1,a,1,y")
            .replace("1,b,2,x", "1,b,2,y")
            .as_bytes(),
    )])
}

#[test]
fn a_series_is_what_is_stated_of_it() {
    let table = "day,x,y\n1,10,1\n2,20,2\n3,30,3\n4,40,4\n5,50,5\n6,60,6\n7,70,7\n8,80,8\n9,90,9\n10,100,10\n";
    let folder = folder(&[("s.csv", table.as_bytes())]);
    let series = "series \"s.csv\"; time day; past 2; future 1; missing interpolate; split train 50%, validation 50%";
    agrees(&format!("{series}; target y; real past[2, 2]"), &folder);
    agrees(
        &format!("{series}; target y; normalise standard; real past[2, 2], future[1]; condition future_counted[1]"),
        &folder,
    );
    agrees(
        &format!("{series}; target y, x; normalise standard; real past[2, 2], future[1, 2]"),
        &folder,
    );
    insta::assert_snapshot!(disagrees(&format!("{series}; target y; real past[2, 3]"), &folder), @r"
    at `past[2, 3]`: s.csv: a sample of `past` is [2, 2], the spec says [2, 3]
    ");
}

#[test]
fn a_table_of_which_nothing_is_stated_has_no_schema_without_its_file() {
    for data in [
        "csv \"t.csv\"; target kind",
        "rows \"t.csv\"; target kind; window 4",
        "series \"s.csv\"; target y; past 2; future 1",
    ] {
        assert_eq!(stated(&said_in(data).0), None, "{data}");
    }
}
