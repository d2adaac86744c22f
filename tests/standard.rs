//! The standard library's page of reference is what its definitions say, and they say enough.

use mspec::reference::{self, Entry};

#[test]
fn the_page_of_reference_is_up_to_date() {
    let kept = std::fs::read_to_string(reference::PAGE).unwrap_or_default();
    let fresh = reference::page();
    let differs = kept.lines().zip(fresh.lines()).position(|(k, f)| k != f);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(fresh.lines().count())) + 1;
    assert!(
        kept == fresh,
        "{} is stale from line {line} on; refresh it: {}",
        reference::PAGE,
        reference::REFRESH
    );
}

fn entries() -> Vec<(&'static str, Entry)> {
    let chapters = reference::chapters();
    let of_chapter = |c: reference::Chapter| c.entries.into_iter().map(move |e| (c.file, e));
    chapters.into_iter().flat_map(of_chapter).collect()
}

#[test]
fn every_definition_is_documented() {
    for chapter in reference::chapters() {
        assert!(!chapter.introduction.is_empty(), "{} has no introduction", chapter.file);
        for entry in &chapter.entries {
            let (name, said) = (&entry.name, &entry.documentation);
            assert!(said.ends_with('.'), "`{name}` is not described in a sentence: {said:?}");
            assert!(
                !said.starts_with("The same"),
                "`{name}` is described by another: {said:?}"
            );
        }
    }
}

/// A formula is the definition's own lines; where it was not thought up here, its source is told.
#[test]
fn methods_name_their_source() {
    let cites = |said: &str| {
        let words = said.split(|c: char| !c.is_ascii_alphanumeric());
        words
            .filter_map(|w| w.parse::<u32>().ok())
            .any(|n| (1940..2100).contains(&n))
    };
    for (file, entry) in entries() {
        let method = entry.keyword == "optimizer" || matches!(file, "std/norms.ms" | "std/positions.ms");
        let method =
            method || (file == "std/attention.ms" && entry.name.contains("block")) || file == "std/recurrent.ms";
        let said = &entry.documentation;
        assert!(
            !method || cites(said),
            "{file}: `{}` names no source: {said:?}",
            entry.name
        );
    }
}

/// Where readers look for them.
#[test]
fn bounds_are_told_at_their_parameters() {
    let all = entries();
    let find = |name: &str| &all.iter().find(|(_, e)| e.name == name).unwrap().1;
    let rate = &find("dropout").parameters[0];
    assert_eq!((rate.name.as_str(), rate.default.as_deref()), ("rate", Some("0.5")));
    assert_eq!(rate.bounds, ["rate >= 0", "rate < 1"]);
    let groups = &find("group_norm").parameters[0];
    assert_eq!(groups.default, None);
    assert_eq!(groups.bounds, ["groups >= 1", "channels mod groups == 0"]);
    assert!(!find("dropout").lines.contains("require"));
}
