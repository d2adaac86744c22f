//! Maps in text, names and shapes out; import and export undo each other.

use super::*;

fn counting(shape: &[usize], first: usize) -> WeightTensor {
    let n: usize = shape.iter().product();
    WeightTensor {
        shape: shape.to_vec(),
        values: (first..first + n).map(|v| v as f32).collect(),
    }
}

fn weights(list: &[(&str, &[usize])]) -> Weights {
    let tensor = |(i, (name, shape)): (usize, &(&str, &[usize]))| (name.to_string(), counting(shape, 100 * i));
    list.iter().enumerate().map(tensor).collect()
}

fn fails(map: &str, theirs: &[(&str, &[usize])], wanted: &[Wanted]) -> String {
    let result = NameMap::parse(map, "names.map").and_then(|m| m.import(&weights(theirs), wanted));
    match result.unwrap_err() {
        TrainError::DoesNotFit { message, help } => [vec![message], help].concat().join("\nhelp: "),
        other => panic!("{other}"),
    }
}

#[test]
fn rename_split_transpose_and_back() {
    let map = "
        emb.weight -> gpt.wte.table            # a comment
        blocks.*.{a,b}.bias -> gpt.*.{x,y}.b
        blocks.*.qkv.weight -> gpt.*.attention.{q,k,v}.w  split 0 transpose
        drop blocks.*.mask
    ";
    let theirs = weights(&[
        ("blocks.0.a.bias", &[2]),
        ("blocks.0.b.bias", &[2]),
        ("blocks.0.qkv.weight", &[6, 3]),
        ("emb.weight", &[4, 2]),
    ]);
    let mut all = theirs.clone();
    all.insert("blocks.0.mask".into(), counting(&[9], 0));
    let map = NameMap::parse(map, "names.map").unwrap();
    let wanted: Vec<Wanted> = vec![
        ("gpt.0.attention.k.w", &[3, 2]),
        ("gpt.0.attention.q.w", &[3, 2]),
        ("gpt.0.attention.v.w", &[3, 2]),
        ("gpt.0.x.b", &[2]),
        ("gpt.0.y.b", &[2]),
        ("gpt.wte.table", &[4, 2]),
    ];
    let ours = map.import(&all, &wanted).unwrap();
    assert_eq!(
        ours.keys().map(String::as_str).collect::<Vec<_>>(),
        wanted.iter().map(|w| w.0).collect::<Vec<_>>()
    );
    // Rows 2 and 3 of theirs, as columns.
    assert_eq!(
        ours["gpt.0.attention.k.w"].values,
        [206.0, 209.0, 207.0, 210.0, 208.0, 211.0]
    );
    assert_eq!(ours["gpt.0.y.b"], theirs["blocks.0.b.bias"]);
    assert_eq!(map.export(&ours).unwrap(), theirs);
    let norms = |w: &Weights| -> BTreeMap<String, f64> {
        let norm = |t: &WeightTensor| t.values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        w.iter().map(|(n, t)| (n.clone(), norm(t))).collect()
    };
    for (name, norm) in map.export_norms(&norms(&ours)).unwrap() {
        // Square roots and squares of whole numbers in float64.
        assert!((norm - norms(&theirs)[&name]).abs() < 1e-9, "{name}");
    }
}

#[test]
fn join_permute_and_fold_and_back() {
    let map = "
        {a,b}.w -> joined join 1 1 3
        conv -> kernel permute 2 3 1 0
        lstm -> gates transpose unfold 1 4
        uneven -> {one,two} split 0 1 2
    ";
    let theirs = weights(&[
        ("a.w", &[2, 1]),
        ("b.w", &[2, 3]),
        ("conv", &[5, 4, 3, 2]),
        ("lstm", &[8, 3]),
        ("uneven", &[3]),
    ]);
    let map = NameMap::parse(map, "names.map").unwrap();
    let wanted: Vec<Wanted> = vec![
        ("gates", &[3, 4, 2]),
        ("joined", &[2, 4]),
        ("kernel", &[3, 2, 4, 5]),
        ("one", &[1]),
        ("two", &[2]),
    ];
    let ours = map.import(&theirs, &wanted).unwrap();
    assert_eq!(
        ours["joined"].values,
        [0.0, 100.0, 101.0, 102.0, 1.0, 103.0, 104.0, 105.0]
    );
    // Element (r, s, c, o) of ours is (o, c, r, s) of theirs.
    let at = |r: usize, s: usize, c: usize, o: usize| ours["kernel"].values[((r * 2 + s) * 4 + c) * 5 + o];
    assert_eq!(at(2, 1, 3, 4), theirs["conv"].values[((4 * 4 + 3) * 3 + 2) * 2 + 1]);
    assert_eq!(at(1, 0, 2, 3), theirs["conv"].values[((3 * 4 + 2) * 3 + 1) * 2]);
    assert_eq!(map.export(&ours).unwrap(), theirs);
}

#[test]
fn the_identity_leaves_names() {
    let theirs = weights(&[("a.b", &[2]), ("c", &[1])]);
    let map = NameMap::identity();
    assert_eq!(map.import(&theirs, &[("a.b", &[2]), ("c", &[1])]).unwrap(), theirs);
    assert_eq!(map.export(&theirs).unwrap(), theirs);
}

#[test]
fn nothing_is_silent() {
    insta::assert_snapshot!(fails("a -> b", &[("a", &[2]), ("z", &[1])], &[("b", &[2])]), @r"
    names.map: no rule for their `z`
    help: add a rule for it, or `drop z`
    ");
    insta::assert_snapshot!(fails("a -> b", &[("a", &[2])], &[("b", &[2]), ("c.w", &[3])]), @r"
    names.map: nothing gives `c.w` [3]
    help: every parameter of the spec must come out of the map; `mspec compile --emit params` lists them
    ");
    insta::assert_snapshot!(fails("a -> tabel", &[("a", &[2])], &[("table", &[2])]), @r"
    names.map: `a` gives `tabel`, which the spec does not have
    help: did you mean `table`?
    ");
    insta::assert_snapshot!(fails("a -> b", &[("a", &[2, 3])], &[("b", &[3, 2])]), @"names.map: `b` would be [2, 3] (from `a`), but the spec has [3, 2]");
    insta::assert_snapshot!(fails("\na -> {b,c} split 0", &[("a", &[3])], &[]), @"names.map, line 2: `a`: axis 0 of [3] can't be split into 2 equal parts");
    insta::assert_snapshot!(fails("{a,b} -> c join 0", &[("a", &[3])], &[]), @"names.map, line 1: there is no `b`");
}

#[test]
fn lines_that_are_no_rules_are_errors() {
    insta::assert_snapshot!(fails("a b", &[], &[]), @"names.map, line 1: expected `THEIRS -> OURS` or `drop THEIRS`");
    insta::assert_snapshot!(fails("a.* -> b", &[], &[]), @"names.map, line 1: both sides need the same number of `*`");
    insta::assert_snapshot!(fails("a -> {b,c}", &[], &[]), @"names.map, line 1: 1 of theirs and 2 of ours: one to many needs `split AXIS`, many to one `join AXIS`, equal numbers neither");
    insta::assert_snapshot!(fails("a -> b transposed", &[], &[]), @"names.map, line 1: `transposed []` is not one of transpose, permute AXES, split AXIS [SIZES], join AXIS [SIZES], unfold AXIS N, fold AXIS N");
    insta::assert_snapshot!(fails("a -> {b,c", &[], &[]), @"names.map, line 1: `{b,c` has no closing brace");
    insta::assert_snapshot!(fails("a -> b unfold 0 0", &[], &[]), @"names.map, line 1: `unfold [0, 0]` is not one of transpose, permute AXES, split AXIS [SIZES], join AXIS [SIZES], unfold AXIS N, fold AXIS N");
}
