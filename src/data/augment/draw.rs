//! The random numbers of one sample: drawn one after the other, from a stream that is the sample's own.

use crate::data::random::Stream;

/// A sample's random numbers.
pub struct Draw {
    stream: Stream,
    next: u64,
}

impl Draw {
    /// The draws of a stream, from its beginning.
    pub fn new(stream: Stream) -> Draw {
        Draw { stream, next: 0 }
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.next += 1;
        self.stream.uniform_pair(self.next).0
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number from `low` to `high`, both included.
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        self.next += 1;
        low + self.stream.below(self.next, (high - low + 1) as usize) as i64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Of mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        self.next += 1;
        self.stream.normal(self.next)
    }

    /// From the Beta distribution with both parameters `alpha`: a quotient of Gamma variables.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (a, b) = (self.log_gamma_variable(alpha), self.log_gamma_variable(alpha));
        1.0 / (1.0 + libm::exp(b - a))
    }

    /// The logarithm of a Gamma variable of this shape and scale 1 (Marsaglia and Tsang 2000); the logarithm,
    /// because for small shapes the variable itself is often below the least f64. Below shape 1 that of shape + 1,
    /// times U^(1 / shape).
    fn log_gamma_variable(&mut self, shape: f64) -> f64 {
        let boost = if shape < 1.0 {
            libm::log(1.0 - self.uniform()) / shape
        } else {
            0.0
        };
        let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            let u = 1.0 - self.uniform();
            if v > 0.0 && libm::log(u) < 0.5 * x * x + d * (1.0 - v + libm::log(v)) {
                return libm::log(d * v) + boost;
            }
        }
    }
}
