//! A model's scores for the next token in, a token out; and the window of text that a prediction sees.

use crate::data::random::Stream;

/// How a token is chosen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sampling {
    /// Scores are divided by it; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only this many likeliest tokens are candidates.
    pub top_k: Option<usize>,
}

/// Chooses the `index`-th token of a text from its scores.
pub fn choose(scores: &[f32], sampling: Sampling, stream: &Stream, index: u64) -> usize {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Likeliest first, ties by id, so that nothing depends on the sort.
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    if sampling.temperature <= 0.0 {
        return order[0];
    }
    order.truncate(sampling.top_k.unwrap_or(scores.len()).max(1));
    let top = f64::from(scores[order[0]]);
    let weight = |&id: &usize| libm::exp((f64::from(scores[id]) - top) / sampling.temperature);
    let total: f64 = order.iter().map(weight).sum();
    let mut left = stream.uniform_pair(index).0 * total;
    for id in &order {
        left -= weight(id);
        if left < 0.0 {
            return *id;
        }
    }
    order[order.len() - 1]
}

/// Puts the last tokens of a text into a window; what follows them is 0, which a causal model does not see.
/// Gives the position whose scores are those of the next token.
pub fn fill_window(text: &[i32], window: &mut [i32]) -> usize {
    let seen = &text[text.len().saturating_sub(window.len())..];
    window[..seen.len()].copy_from_slice(seen);
    window[seen.len()..].fill(0);
    seen.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_the_end_of_the_text() {
        let mut window = [9; 4];
        assert_eq!(fill_window(&[1, 2], &mut window), 1);
        assert_eq!(window, [1, 2, 0, 0]);
        assert_eq!(fill_window(&[1, 2, 3, 4, 5, 6], &mut window), 3);
        assert_eq!(window, [3, 4, 5, 6]);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let stream = Stream::new(1, "generate");
        let scores = [0.0, 3f32.ln(), f32::NEG_INFINITY, -50.0];
        let count = |sampling, token| {
            (0..4000)
                .filter(|&i| choose(&scores, sampling, &stream, i) == token)
                .count()
        };
        let plain = Sampling {
            temperature: 1.0,
            top_k: None,
        };
        // A quarter and three quarters, within four standard deviations of 27.
        assert!(count(plain, 0).abs_diff(1000) < 110);
        assert!(count(plain, 1).abs_diff(3000) < 110);
        assert_eq!(count(plain, 2), 0);
        assert_eq!(
            count(
                Sampling {
                    temperature: 0.0,
                    ..plain
                },
                1
            ),
            4000
        );
        assert_eq!(
            count(
                Sampling {
                    top_k: Some(1),
                    ..plain
                },
                1
            ),
            4000
        );
    }
}
