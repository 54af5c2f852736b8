//! What the doctor found: what `sealpost doctor --json` prints.

use serde::{Deserialize, Serialize};

/// What all examinations came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examinations {
    /// The worst of all: `well`, `not-known`, `warning` or `trouble`.
    pub state: String,
    /// Each of them.
    pub examinations: Vec<ExaminationView>,
}

/// One examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExaminationView {
    /// Its name.
    pub name: String,
    /// The worst of it.
    pub state: String,
    /// What is well.
    pub well: Vec<String>,
    /// What is wrong.
    pub findings: Vec<TrapView>,
    /// What could not be seen.
    pub unknown: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrapView {
    /// The name of the trap.
    pub trap: String,
    /// `warning` or `trouble`.
    pub state: String,
    /// What was seen of it here.
    pub seen: String,
    /// What it means.
    pub cause: String,
    /// What to do.
    pub cure: String,
    /// What to type or to write.
    pub lines: Vec<String>,
}
