//! Where a domain's report goes: of what its record names, what is served.

use std::fmt;

use crate::policy::{Destination, RuaRecord};

/// Where a report goes, and what of the record it does not go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The destinations, in the order of the record.
    pub destinations: Vec<Destination>,
    /// What is left out, each with its reason.
    pub left_out: Vec<LeftOut>,
}

/// A destination that gets no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The destination.
    pub destination: Destination,
    /// Why it gets none.
    pub why: Why,
}

/// Why a destination gets no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is an `https:` URI, and nothing here posts to one.
    HttpsNotServed,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::HttpsNotServed => "https destinations come with a later release",
        };
        write!(formatter, "{}: {why}", self.destination)
    }
}

/// Chooses. `record` is `None` where the domain asks for no reports.
#[must_use]
pub fn choose(record: Option<&RuaRecord>) -> Chosen {
    let mut chosen = Chosen::default();
    for destination in record.map_or(&[][..], |record| &record.destinations) {
        match destination {
            Destination::Mail(_) => chosen.destinations.push(destination.clone()),
            Destination::Https(_) => chosen.left_out.push(LeftOut {
                destination: destination.clone(),
                why: Why::HttpsNotServed,
            }),
        }
    }
    chosen
}
