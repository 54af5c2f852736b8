//! What an examination comes to.

/// How something stands. In order: the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Nothing is wrong with it.
    Well,
    /// It could not be seen.
    NotKnown,
    /// It works, and an operator should look at it.
    Warning,
    /// It does not work, or something is lost by it.
    Trouble,
}

impl State {
    /// The word in `--json`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::NotKnown => "not-known",
            Self::Warning => "warning",
            Self::Trouble => "trouble",
        }
    }

    /// What a line for people begins with, for the word of a state.
    pub(super) fn mark_of(name: &str) -> &'static str {
        let all = [Self::Well, Self::NotKnown, Self::Warning, Self::Trouble];
        let found = all.into_iter().find(|state| state.name() == name);
        found.unwrap_or(Self::NotKnown).mark()
    }

    /// What a line for people begins with.
    const fn mark(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::NotKnown => "?",
            Self::Warning => "WARN",
            Self::Trouble => "FAIL",
        }
    }
}

/// Something that goes wrong without anybody hearing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    /// Its name, which scripts know it by.
    pub(super) name: &'static str,
    /// How bad it is.
    pub(super) state: State,
    /// What it does, and how one comes by it.
    pub(super) cause: &'static str,
    /// What to do.
    pub(super) cure: &'static str,
}

/// The traps of one examination: each as a constant, and all of them as `TRAPS`.
macro_rules! traps {
    ($($constant:ident = $name:literal, $state:ident, $cause:expr, $cure:expr;)*) => {
        $(
            const $constant: crate::ctl::doctor::finding::Trap = crate::ctl::doctor::finding::Trap {
                name: $name,
                state: crate::ctl::doctor::finding::State::$state,
                cause: $cause,
                cure: $cure,
            };
        )*

        /// What is looked for.
        pub(in crate::ctl::doctor) const TRAPS: &[crate::ctl::doctor::finding::Trap] = &[$($constant,)*];
    };
}
pub(super) use traps;

/// A trap that this machine has walked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which.
    pub(super) trap: Trap,
    /// What was seen of it here.
    pub(super) seen: String,
    /// What to type or to write here, line by line, where that can be said.
    pub(super) lines: Vec<String>,
}

/// What an examination came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Examined {
    /// What was seen and is well.
    pub(super) well: Vec<String>,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// What could not be seen, and why.
    pub(super) unknown: Vec<String>,
}

impl Examined {
    /// The worst of it.
    pub(super) fn state(&self) -> State {
        let worst = self.findings.iter().map(|finding| finding.trap.state).max();
        worst.unwrap_or(match (self.unknown.is_empty(), self.well.is_empty()) {
            (false, _) => State::NotKnown,
            (true, _) => State::Well,
        })
    }

    /// This is well.
    pub(super) fn well(&mut self, seen: impl Into<String>) {
        self.well.push(seen.into());
    }

    /// This is wrong.
    pub(super) fn found(&mut self, trap: Trap, seen: impl Into<String>) {
        self.found_with(trap, seen, Vec::new());
    }

    /// This is wrong, and these lines mend it.
    pub(super) fn found_with(&mut self, trap: Trap, seen: impl Into<String>, lines: Vec<String>) {
        self.findings.push(Finding {
            trap,
            seen: seen.into(),
            lines,
        });
    }

    /// This cannot be seen.
    pub(super) fn unknown(&mut self, why: impl Into<String>) {
        self.unknown.push(why.into());
    }

    /// Nothing but that it cannot be seen.
    pub(super) fn not_seen(why: impl Into<String>) -> Self {
        let mut examined = Self::default();
        examined.unknown(why);
        examined
    }
}
