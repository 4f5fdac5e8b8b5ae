//! Seeded draws: the same rollouts everywhere.

/// From this mean on the normal curve is as good.
const LARGE: f64 = 100.0;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0 and up to 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// A count of this mean: by the gaps between arrivals, or by the normal curve of a large one.
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > LARGE {
            let drawn = mean + mean.sqrt() * self.normal();
            return whole(drawn);
        }
        let (mut at, mut count) = (-self.uniform().ln(), 0);
        while at < mean {
            at -= self.uniform().ln();
            count += 1;
        }
        count
    }

    /// Bad ones of n: by the gaps between them, or by the normal curve where they are many.
    pub(super) fn binomial(&mut self, n: u64, rate: f64) -> u64 {
        let mean = n as f64 * rate;
        if mean > LARGE {
            let drawn = mean + (mean * (1.0 - rate)).sqrt() * self.normal();
            return whole(drawn).min(n);
        }
        let (mut at, mut bad) = (0.0, 0);
        loop {
            at += (self.uniform().ln() / (-rate).ln_1p()).floor() + 1.0;
            if at > n as f64 {
                return bad;
            }
            bad += 1;
        }
    }

    /// A gamma factor of mean one and variance 1 / shape.
    pub(super) fn burst(&mut self, shape: u32) -> f64 {
        let sum: f64 = (0..shape).map(|_| -self.uniform().ln()).sum();
        sum / f64::from(shape)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test's counts are small, and never negative"
)]
fn whole(drawn: f64) -> u64 {
    drawn.max(0.0).round() as u64
}
