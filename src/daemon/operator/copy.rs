//! A copy of the store, for an operator's backup.

use std::path::PathBuf;

use super::Operator;
use crate::{
    ctl::{
        control::Replied,
        protocol::{Refusal, RefusalKind},
        wire::StoreCopied,
    },
    deliver::on_disk,
    observe::stopwatch::Stopwatch,
    store::StoreError,
};

impl Operator {
    /// What was told before is in it.
    pub(super) async fn copy(&self, directory: PathBuf) -> Replied<StoreCopied> {
        let path = directory.display().to_string();
        // What it would be relative to, only the caller knows.
        if !directory.is_absolute() {
            let message = format!("{path}: name the directory from the root on");
            return Err(Refusal::new(RefusalKind::BadRequest, message));
        }
        let watch = Stopwatch::start();
        self.sync().await;
        let copied = on_disk(&self.store, move |store| store.copy_to(&directory)).await;
        let copied = copied.map_err(|error| {
            let kind = match &error {
                StoreError::NoCopy { .. } => RefusalKind::BadRequest,
                _ => RefusalKind::Trouble,
            };
            Refusal::new(kind, error.to_string())
        })?;
        let (rows, octets) = (copied.rows, copied.octets);
        let seconds = watch.elapsed().as_secs();
        tracing::info!(path, rows, octets, seconds, "the store was copied");
        Ok(StoreCopied {
            directory: path,
            rows,
            octets,
        })
    }
}
