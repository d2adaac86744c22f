//! Loads, gathers and stores of vectors, of elements of 32 and of 16 bits.

use super::code::*;
use super::emitter::{Emitter, Unsupported, WORD};
use super::encode_vector::{Width, op};
use crate::codegen::analysis::{guards_vary, lane_step};
use crate::codegen::interpret::fill_bits;
use crate::ir::affine::{Guard, Position};
use crate::ir::kernel::*;

impl Emitter<'_> {
    /// The bits that a load has outside its guards.
    fn fill(&mut self, buffer: BufferId, fill: f32) -> Reg {
        let bits = fill_bits(self.buffers[buffer.0 as usize].storage, fill);
        self.code.even(bits)
    }

    /// The mask of a vector that is not whole.
    fn tail(&mut self, live: usize) -> Option<Reg> {
        (live < self.lanes()).then(|| self.live_mask(live))
    }

    /// A load of the first `live` lanes, or what it gives outside its guards.
    pub fn load(
        &mut self,
        buffer: BufferId,
        at: &Position,
        guards: &[Guard],
        fill: f32,
        live: usize,
    ) -> Result<Reg, Unsupported> {
        let step = lane_step(at, self.lanes() as i64);
        let inside = self.inside(guards)?;
        let whole = self.loads_whole(buffer, live, inside.is_some());
        match (step, inside) {
            (Some(0), None) => {
                let place = self.place(buffer, at)?;
                Ok(self.load_spread(buffer, place))
            }
            (Some(1), None) if whole => {
                let place = self.place(buffer, at)?;
                let tail = self.tail(live);
                Ok(self.load_vector(buffer, place, tail))
            }
            (Some(1), Some(inside)) if whole => {
                let place = self.place(buffer, at)?;
                let mask = match self.tail(live) {
                    Some(tail) => self.both(Some(inside), tail),
                    None => inside,
                };
                let loaded = self.load_vector(buffer, place, Some(mask));
                // Lanes that are not loaded are +0.
                if fill_bits(self.buffers[buffer.0 as usize].storage, fill) == 0 {
                    return Ok(loaded);
                }
                let fill = self.fill(buffer, fill);
                Ok(self.code.to_vector(|d| Step::Select(d, inside, loaded, fill)))
            }
            _ => {
                // What is the same in all lanes is read in all of them.
                let even = step == Some(0) && !guards_vary(guards, usize::MAX).vector;
                let live = self.live_mask(if even { self.lanes() } else { live });
                let mask = self.both(inside, live);
                let (place, index) = self.spread_place(buffer, at)?;
                let fill = self.fill(buffer, fill);
                Ok(self.gathered(buffer, place, [index, mask], fill))
            }
        }
    }

    /// Whether so many elements side by side are loaded at once: there are no masks for 16 bits at 256.
    fn loads_whole(&self, buffer: BufferId, live: usize, guarded: bool) -> bool {
        self.stride(buffer) == WORD || self.code.has_masks() || (live == self.lanes() && !guarded)
    }

    fn load_vector(&mut self, buffer: BufferId, place: Place, mask: Option<Reg>) -> Reg {
        match self.stride(buffer) {
            WORD => self.code.to_vector(|d| Step::VectorLoad(d, place, mask)),
            _ => self.code.to_vector(|d| Step::LoadHalves(d, place, mask)),
        }
    }

    /// One element in all lanes.
    fn load_spread(&mut self, buffer: BufferId, place: Place) -> Reg {
        if self.stride(buffer) == WORD {
            return self.code.to_vector(|d| Step::Spread(d, place));
        }
        let half = self.code.to_word(|d| Step::LoadHalf(d, place));
        self.code.to_vector(|d| Step::SpreadWord(d, half))
    }

    /// What lies behind an element of 16 bits is read with it, and dropped.
    fn gathered(&mut self, buffer: BufferId, place: Place, [index, mask]: [Reg; 2], outside: Reg) -> Reg {
        let to = self.code.to_vector(|d| Step::Copy(d, outside));
        let scale = self.stride(buffer).trailing_zeros() as u8;
        self.code.push(Step::Gather(to, place, index, mask, scale));
        match self.stride(buffer) {
            WORD => to,
            _ => self.lower_halves(to),
        }
    }

    fn lower_halves(&mut self, words: Reg) -> Reg {
        let lower = self.code.even(0xffff);
        self.code.three(op::AND, words, lower)
    }

    /// The place of the first lane, and how many elements further each lane is.
    fn spread_place(&mut self, buffer: BufferId, at: &Position) -> Result<(Place, Reg), Unsupported> {
        if self.buffers[buffer.0 as usize].elements > i32::MAX as usize / 2 {
            return Err(Unsupported);
        }
        if let Some(step) = lane_step(at, self.lanes() as i64) {
            let steps = self.code.known(Known::Steps(step as i32));
            return Ok((self.place(buffer, at)?, steps));
        }
        let along = at.affine.coefficient(VECTOR_AXIS);
        let pointer = self.fixed_pointer(buffer, at)?;
        let stride = self.stride(buffer);
        let place = self.moved(pointer, along * stride, at.affine.constant * stride)?;
        let steps = self.code.known(Known::Steps(along as i32));
        Ok((place, self.plus_digit_lanes(steps, at)?))
    }

    /// Reads a table at ids. `even`: whether all ids are the same in every lane.
    pub(super) fn gather(
        &mut self,
        buffer: BufferId,
        at: &Position,
        ids: &[(ValueId, i64)],
        even: bool,
        live: usize,
    ) -> Result<Reg, Unsupported> {
        let step = lane_step(at, self.lanes() as i64);
        let whole = step == Some(1) && self.loads_whole(buffer, live, false);
        if even && (whole || step == Some(0)) {
            let mut place = self.place(buffer, at)?;
            for &(id, stride) in ids {
                let id = self.value(id);
                let id = self.code.to_word(|d| Step::First(d, id));
                let bytes = self.scaled(id, stride * self.stride(buffer));
                place.base = self.sum(Some(place.base), bytes);
            }
            return Ok(match step {
                Some(1) => {
                    let tail = self.tail(live);
                    self.load_vector(buffer, place, tail)
                }
                _ => self.load_spread(buffer, place),
            });
        }
        let (place, mut index) = self.spread_place(buffer, at)?;
        for &(id, stride) in ids {
            let id = self.value(id);
            let moved = self.scaled_lanes(id, stride);
            index = self.code.three(op::INTEGER_ADD, index, moved);
        }
        let mask = self.live_mask(live);
        let zero = self.code.even(0);
        Ok(self.gathered(buffer, place, [index, mask], zero))
    }

    /// Stores the first `live` lanes.
    pub fn store(&mut self, buffer: BufferId, at: &Position, value: Reg, live: usize) -> Result<(), Unsupported> {
        if self.stride(buffer) != WORD {
            self.store_halves(buffer, at, value, live)?;
        } else if live == 1 {
            let place = self.place(buffer, at)?;
            self.code.push(Step::StoreWord(place, value));
        } else if lane_step(at, self.lanes() as i64) == Some(1) {
            let place = self.place(buffer, at)?;
            let tail = self.tail(live);
            self.code.push(Step::Store(place, value, tail));
        } else if self.code.has_masks() {
            let (place, index) = self.spread_place(buffer, at)?;
            let mask = self.live_mask(live);
            self.code.push(Step::Scatter(place, index, value, mask));
        } else {
            self.store_lanes(buffer, at, value, live)?;
        }
        Ok(())
    }

    /// Stores the lower 16 bits of the first `live` lanes.
    fn store_halves(&mut self, buffer: BufferId, at: &Position, value: Reg, live: usize) -> Result<(), Unsupported> {
        let beside = lane_step(at, self.lanes() as i64) == Some(1);
        if beside && self.code.has_masks() {
            let place = self.place(buffer, at)?;
            let tail = self.tail(live);
            self.code.push(Step::StoreHalves(place, value, tail));
        } else if beside && live == self.lanes() {
            let place = self.place(buffer, at)?;
            let low = self.lower_halves(value);
            let high = self.quad(low, 1);
            let joined = self
                .code
                .to_vector(|d| Step::Three(op::JOIN_HALVES, Width::W128, d, low, high, None));
            self.code.push(Step::StoreQuad(place, joined));
        } else {
            self.store_lanes(buffer, at, value, live)?;
        }
        Ok(())
    }

    /// Four lanes of a vector.
    pub(super) fn quad(&mut self, value: Reg, number: u8) -> Reg {
        let (op, width) = match self.code.has_masks() {
            true => (op::QUAD_OF, Width::W512),
            false => (op::UPPER_HALF_256, Width::W256),
        };
        self.code.to_vector(|d| Step::Part(op, width, d, value, number))
    }

    /// Stores lane by lane (there is no scatter at 256 bits, and none of 16 bits).
    fn store_lanes(&mut self, buffer: BufferId, at: &Position, value: Reg, live: usize) -> Result<(), Unsupported> {
        let first = self.indices[VECTOR_AXIS];
        let mut half = value;
        for lane in 0..live {
            if lane > 0 && lane % 4 == 0 {
                half = self.quad(value, lane as u8 / 4);
            }
            if let Some(index) = &mut self.indices[VECTOR_AXIS] {
                index.constant += i64::from(lane > 0);
            }
            let place = self.place(buffer, at)?;
            let lane = lane as u8 % 4;
            self.code.push(match self.stride(buffer) {
                WORD => Step::StoreLane(place, half, lane),
                _ => Step::StoreHalf(place, half, lane),
            });
        }
        self.indices[VECTOR_AXIS] = first;
        Ok(())
    }
}
