//! "Did you mean …": the known names nearest to a mistyped one.

/// Up to three of `known` that are close to `name`, nearest first, ties in the given order.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // One letter instead of another is another name.
    let limit = match name.chars().count() {
        0 | 1 => 0,
        length => (length / 3).clamp(1, 3),
    };
    let mut close: Vec<(usize, &str)> = vec![];
    for candidate in known {
        let distance = strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
        let extends = name.len() > 2 && candidate.starts_with(name);
        if (distance <= limit || extends) && !close.iter().any(|(_, c)| *c == candidate) {
            close.push((if extends { distance.min(limit) } else { distance }, candidate));
        }
    }
    close.sort_by_key(|(distance, _)| *distance);
    close.truncate(3);
    close.into_iter().map(|(_, c)| c).collect()
}

/// The help line for [`nearest`], if there is anything to suggest.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let close = nearest(name, known);
    let quoted: Vec<String> = close.iter().map(|c| format!("`{c}`")).collect();
    (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}
