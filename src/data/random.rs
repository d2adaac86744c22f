//! A seed and a label in, random numbers out: Philox4x32-10 (Salmon et al. 2011), a counter-based generator.
//! A number depends on (seed, label, index) alone, never on what was drawn before, so that order, threads and
//! resumption can't change it, and every platform gives the same bits.

use sha2::{Digest, Sha256};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The Philox4x32-10 bijection: a counter and a key in, four random words out.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c);
        (a, b, c, d) = (
            (p1 >> 32) as u32 ^ b ^ k0,
            p1 as u32,
            (p0 >> 32) as u32 ^ d ^ k1,
            p0 as u32,
        );
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [a, b, c, d]
}

/// Independent random numbers for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stream {
    key: [u32; 2],
    purpose: [u32; 2],
}

impl Stream {
    /// The stream of a seed and a label; other labels give independent streams.
    pub fn new(seed: u64, label: &str) -> Stream {
        let digest = Sha256::digest(label.as_bytes());
        let word = |at: usize| u32::from_le_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
        Stream {
            key: [seed as u32, (seed >> 32) as u32],
            purpose: [word(0), word(4)],
        }
    }

    /// An independent stream for one of many things of the same purpose.
    pub fn of(&self, index: u64) -> Stream {
        let [a, b, _, _] = self.words(index);
        Stream {
            key: [a, b],
            purpose: self.purpose,
        }
    }

    /// Four words at an index.
    pub fn words(&self, index: u64) -> [u32; 4] {
        philox(
            [index as u32, (index >> 32) as u32, self.purpose[0], self.purpose[1]],
            self.key,
        )
    }

    /// A whole number below `bound` (at least 1, at most 2^32): 64 random bits times the bound, so that no
    /// value is favoured by more than 2^-32.
    pub fn below(&self, index: u64, bound: usize) -> usize {
        assert!(bound > 0, "nothing to draw from");
        let [a, b, _, _] = self.words(index);
        let bits = u64::from(a) << 32 | u64::from(b);
        ((u128::from(bits) * bound as u128) >> 64) as usize
    }

    /// Two independent uniform numbers in [0, 1) with 53 bits.
    pub fn uniform_pair(&self, index: u64) -> (f64, f64) {
        let [a, b, c, d] = self.words(index);
        let real = |high: u32, low: u32| {
            let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
            bits as f64 / (1u64 << 53) as f64
        };
        (real(a, b), real(c, d))
    }

    /// A Gaussian number of mean 0 and variance 1 (Box and Muller 1958).
    pub fn normal(&self, index: u64) -> f64 {
        let (u, v) = self.uniform_pair(index);
        let radius = (-2.0 * libm::log(1.0 - u)).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * v)
    }

    /// Puts a list into a random order (Fisher and Yates 1938); `round` tells repetitions apart.
    pub fn shuffle<T>(&self, round: u32, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(u64::from(round) << 32 | last as u64, last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The known answers that come with the authors' Random123 library (kat_vectors, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_of_other_seeds_and_labels_differ() {
        let stream = Stream::new(1, "a");
        assert_eq!(stream.words(7), Stream::new(1, "a").words(7));
        assert_ne!(stream.words(7), Stream::new(2, "a").words(7));
        assert_ne!(stream.words(7), Stream::new(1, "b").words(7));
        assert_ne!(stream.words(7), stream.words(8));
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let stream = Stream::new(42, "moments");
        let n = 20_000u64;
        let mean = (0..n).map(|i| stream.normal(i)).sum::<f64>() / n as f64;
        let variance = (0..n).map(|i| stream.normal(i).powi(2)).sum::<f64>() / n as f64;
        let uniform = (0..n).map(|i| stream.uniform_pair(i).1).sum::<f64>() / n as f64;
        // Four standard errors: 4/√n, 4·√(2/n), 4·√(1/12n).
        assert!(mean.abs() < 0.029, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
        assert!((uniform - 0.5).abs() < 0.0082, "{uniform}");
    }

    #[test]
    fn a_shuffle_keeps_every_element_and_depends_on_the_round() {
        let stream = Stream::new(3, "order");
        let shuffled = |round| {
            let mut list: Vec<u32> = (0..100).collect();
            stream.shuffle(round, &mut list);
            list
        };
        assert_eq!(shuffled(0), shuffled(0));
        assert_ne!(shuffled(0), shuffled(1));
        let mut sorted = shuffled(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
}
