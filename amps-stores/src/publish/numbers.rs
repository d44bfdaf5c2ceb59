//! From the numbers in the records to those that count.

use super::format::{Header, MAX_STEPS, Step};

impl Header {
    /// The number that counts for a record with this number in it. It keeps the order.
    #[inline]
    pub(super) fn number(&self, raw: u64) -> u64 {
        if self.step_count == 0 {
            return raw;
        }
        let step = self.steps().iter().rev().find(|step| step.from <= raw);
        raw.saturating_add(step.map_or(0, |step| step.add))
    }

    /// This header with all records from `from` to `to` (numbers in records) moved up by `add`;
    /// none if there are too many steps already. `lowest` is the lowest that is still there.
    pub(super) fn moved(&self, lowest: u64, from: u64, to: u64, add: u64) -> Option<Header> {
        let mut steps = Vec::with_capacity(MAX_STEPS + 2);
        let before = |raw| {
            let step = self.steps().iter().rev().find(|step| step.from <= raw);
            step.map_or(0, |step| step.add)
        };
        steps.extend(self.steps().iter().filter(|step| step.from < from));
        steps.push(Step {
            from,
            add: before(from).checked_add(add)?,
        });
        for step in self.steps() {
            if step.from > from && step.from <= to {
                let add = step.add.checked_add(add)?;
                steps.push(Step { add, ..*step });
            }
        }
        // What is stored from now on has numbers above all these, and is not moved.
        steps.push(Step {
            from: to.checked_add(1)?,
            add: 0,
        });
        // A step is of use only if there are records between it and the next one.
        let gone = steps.iter().skip(1).take_while(|step| step.from <= lowest);
        steps.drain(..gone.count());
        steps.dedup_by_key(|step| step.add);
        let mut header = self.clone();
        header.step_count = steps.len();
        header.steps = [Step::default(); MAX_STEPS];
        header.steps.get_mut(..steps.len())?.copy_from_slice(&steps);
        Some(header)
    }
}

/// Microseconds since 1970.
pub(super) fn wall_clock() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(header: &Header, raws: &[u64]) -> Vec<u64> {
        raws.iter().map(|raw| header.number(*raw)).collect()
    }

    #[test]
    fn moving_twice_adds_up_and_what_comes_later_is_not_moved() {
        let header = Header::default();
        let header = header.moved(1, 3, 5, 100).unwrap();
        assert_eq!(numbers(&header, &[1, 2, 3, 5, 200]), [1, 2, 103, 105, 200]);
        // Only a part of the moved ones and some stored since.
        let header = header.moved(1, 4, 201, 1000).unwrap();
        assert_eq!(
            numbers(&header, &[2, 3, 4, 5, 200, 201, 2000]),
            [2, 103, 1104, 1105, 1200, 1201, 2000]
        );
    }

    #[test]
    fn steps_that_no_record_needs_any_more_make_room_for_others() {
        let mut header = Header::default();
        for round in 0..100 {
            let from = 1 + round * 10;
            header = header.moved(from, from, from + 4, 5).unwrap();
            assert_eq!(header.number(from), from + 5);
            assert_eq!(header.number(from + 5), from + 5);
        }
    }

    #[test]
    fn too_many_steps_are_refused_and_not_forgotten() {
        let mut header = Header::default();
        let mut rounds = 0;
        while let Some(next) = header.moved(1, 1 + rounds * 10, 5 + rounds * 10, 5) {
            header = next;
            rounds += 1;
        }
        assert!(rounds >= 8, "{rounds}");
        assert_eq!(header.number(1), 6);
    }
}
