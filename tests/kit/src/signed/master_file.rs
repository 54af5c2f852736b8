//! The zones as files that a name server loads (RFC 1035 s5).

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use hickory_proto::rr::{Name, Record, RecordType};

use super::{
    key::canonical_value,
    served::{RecordSet, ServedZone},
    world::{NAME_SERVER, World},
    zone::{ZoneError, name},
};
use crate::shared::canonical;

/// A zone, and the file that it was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterFile {
    /// The zone, without the dot at the end; `.` for the root.
    pub zone: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The zones cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MasterFileError {
    /// The disk.
    #[error("{path}: {error}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The kit: a record cannot be put into octets.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl World {
    pub(super) fn write(&self, directory: &Path) -> Result<Vec<MasterFile>, MasterFileError> {
        let mut files = Vec::new();
        for (apex, served) in &self.zones {
            let zone = match canonical(&apex.to_ascii()) {
                root if root.is_empty() => ".".to_owned(),
                other => other,
            };
            let stem = if zone == "." { "root" } else { &zone };
            let path = directory.join(format!("{stem}.zone"));
            let mut text = served.master_file()?;
            text.push_str(&self.glue(apex)?);
            fs::write(&path, text).map_err(|error| MasterFileError::Disk {
                path: path.clone(),
                error,
            })?;
            files.push(MasterFile { zone, path });
        }
        Ok(files)
    }

    /// The address of the name server, which a zone above its own has too: without it nobody gets there.
    fn glue(&self, apex: &Name) -> Result<String, ZoneError> {
        let server = name(NAME_SERVER)?;
        let mut holders = self.zones.iter().rev();
        let holder = holders.find(|(holder, _)| holder.zone_of(&server));
        let mut text = String::new();
        if let Some((holder, served)) = holder
            && holder != apex
            && apex.zone_of(holder)
        {
            for kind in [RecordType::A, RecordType::AAAA] {
                let sets = served.names.get(&server);
                if let Some(set) = sets.and_then(|sets| sets.get(&kind)) {
                    for record in &set.records {
                        line(&mut text, record)?;
                    }
                }
            }
        }
        Ok(text)
    }
}

impl ServedZone {
    fn master_file(&self) -> Result<String, ZoneError> {
        let mut text = String::new();
        let apex = self.names.get(&self.apex);
        // The start of authority comes first.
        let first = apex.and_then(|sets| sets.get(&RecordType::SOA));
        let others = self
            .names
            .values()
            .flat_map(|sets| sets.iter())
            .filter(|(kind, _)| **kind != RecordType::SOA)
            .map(|(_, set)| set)
            .chain(self.hashes.values());
        for record in first.into_iter().chain(others).flat_map(RecordSet::all) {
            line(&mut text, record)?;
        }
        Ok(text)
    }
}

/// One record. Its value is written as octets, which every type can be (RFC 3597 s5).
fn line(text: &mut String, record: &Record) -> Result<(), ZoneError> {
    let value = canonical_value(&record.data)?;
    let kind = record.record_type();
    let _infallible = write!(
        text,
        "{} {} IN {kind} \\# {} ",
        record.name.to_ascii(),
        record.ttl,
        value.len()
    );
    for octet in value {
        let _infallible = write!(text, "{octet:02X}");
    }
    text.push('\n');
    Ok(())
}
