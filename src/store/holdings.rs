//! What the store on the disk holds, in octets of keys and values.
//!
//! Not what the file takes: sled shares the beginnings of keys within a page, keeps several versions of a page, and
//! gives nothing back. But it is what forgetting makes less, and by how much is known before.

use super::{
    Holdings, StoreError, codec,
    engine::{Rows, Walk},
    keeping::DayHoldings,
    key,
    parted::Parted,
    trees::Trees,
};
use crate::deliver::outbox;

impl Trees {
    /// One pass over everything.
    pub(super) fn holdings(&self) -> Result<Holdings, StoreError> {
        let mut held = Holdings::default();
        add(&self.failures, &mut held, |of| &mut of.failures)?;
        add(&self.tallies, &mut held, |of| &mut of.counts)?;
        add(self.sealed.heads(), &mut held, |of| &mut of.counts)?;
        add(self.sealed.blocks(), &mut held, |of| &mut of.counts)?;
        self.deliveries.walk(&[], |key, value| {
            let Some(day) = key::day_of(key) else {
                return Ok(());
            };
            let of_day = held.days.entry(day).or_default();
            let state = value.ok().map(|value| {
                of_day.reports += octets(key.len() + Parted::row_octets(value.len()));
                codec::read_delivery(key, &value)
            });
            // One that cannot be read may not have come to its end.
            let is_finished = matches!(&state, Some(Ok((_, state))) if outbox::is_finished(state));
            of_day.has_open_report |= !is_finished;
            Ok(())
        })?;
        let parted = [&self.applied, &self.kept, &self.suppressed, &self.overrides];
        let rest = parted.map(Parted::heads).into_iter();
        for rows in rest.chain([&self.audit, self.kept.parts()]) {
            rows.walk(&[], None, |key, value| {
                held.rest += octets(key.len() + value.len());
                Ok(Walk::On)
            })?;
        }
        Ok(held)
    }
}

/// Adds the rows of a tree whose keys begin with their day.
fn add(
    rows: &Rows,
    held: &mut Holdings,
    part: impl Fn(&mut DayHoldings) -> &mut u64,
) -> Result<(), StoreError> {
    rows.walk(&[], None, |key, value| {
        if let Some(day) = key::day_of(key) {
            *part(held.days.entry(day).or_default()) += octets(key.len() + value.len());
        }
        Ok(Walk::On)
    })
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
