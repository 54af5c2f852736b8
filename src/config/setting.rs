//! What is known of a setting and of the section it stands in.

use super::kind::Kind;

/// A part of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name: what stands before the dot in a setting's name.
    pub name: &'static str,
    /// How often it may stand in the file, and how it is written.
    pub shape: Shape,
    /// What it is about.
    pub text: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// How a section is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[name]`, once.
    Single,
    /// `[[name]]`, any number of times.
    List,
    /// `[name."example.org"]`, once for each domain.
    ByDomain,
}

impl Section {
    /// The section's head line in the file.
    #[must_use]
    pub fn header(&self) -> String {
        match self.shape {
            Shape::Single => format!("[{}]", self.name),
            Shape::List => format!("[[{}]]", self.name),
            Shape::ByDomain => format!("[{}.\"example.org\"]", self.name),
        }
    }

    /// The setting of this name within the section.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The name of one of its settings as an operator writes it: `policy.https_port`, and
    /// `domain.NAME.mode` where each domain has its own.
    #[must_use]
    pub fn name_of(&self, setting: &Setting) -> String {
        match self.shape {
            Shape::Single | Shape::List => format!("{}.{}", self.name, setting.key),
            Shape::ByDomain => format!("{}.NAME.{}", self.name, setting.key),
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name within the section.
    pub key: &'static str,
    /// What it can be set to.
    pub kind: Kind,
    /// What holds when it is left out.
    pub default: Default,
    /// The unit of a number; empty where there is none.
    pub unit: &'static str,
    /// The release that brought it.
    pub since: &'static str,
    /// What it does, in sentences.
    pub text: &'static str,
}

/// What holds when a setting is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This value, as TOML has it.
    Value(&'static str),
    /// Nothing is set.
    Unset,
    /// It may not be left out where its section stands.
    Required,
}
