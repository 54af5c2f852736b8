//! Whether the resolvers pass on what is signed: the root's keys, and the proof that a name is not there. One that
//! loses proofs would make every unsigned domain bogus.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use hickory_proto::rr::{Name, RecordType};

use super::{Trouble, Validator, chain::Claim, denial::Denial, work::Work};
use crate::net::dnssec::{Looked, at_once::at_once, in_time};

impl Validator {
    /// Does each server pass on the root's keys, do they hold, and does it pass on a proof that there is nothing below
    /// the root of some name? Those that do not are left out, unless all are so.
    pub(in crate::net::dnssec) async fn look_at_each(&self) -> Vec<Looked> {
        let places = 0..self.exchange.servers().len();
        let looks = at_once(places.map(|place| in_time(self.look_at(place)))).await;
        if looks.iter().any(|look| matches!(look, Ok(Ok(())))) {
            self.leave_out_others(&looks);
        } else if looks.iter().any(|look| matches!(look, Ok(Err(_)))) {
            // What is known was proven; but from now on nothing can be. Mail waits at once, and not in an hour.
            self.cuts.forget(&Name::root());
        }
        looks
    }

    /// Leaves out those that are of no use. One that does not answer stays as it was.
    fn leave_out_others(&self, looks: &[Looked]) {
        for (place, (look, server)) in looks.iter().zip(self.exchange.servers()).enumerate() {
            let Ok(verdict) = look else {
                continue;
            };
            if !self.exchange.leave_out(place, verdict.is_err()) {
                continue;
            }
            match verdict {
                Ok(()) => tracing::info!(%server, "DNSSEC: this resolver is asked again"),
                Err(why) => tracing::warn!(
                    %server,
                    why,
                    "DNSSEC: this resolver is left out: it does not pass on what is signed. The others are asked"
                ),
            }
        }
    }

    async fn look_at(&self, place: usize) -> Looked {
        match self.prove_at(place).await {
            Ok(()) => Ok(Ok(())),
            Err(Trouble::Bogus(reason)) => Ok(Err(reason)),
            Err(Trouble::Failed(error)) => Err(error),
        }
    }

    async fn prove_at(&self, place: usize) -> Result<(), Trouble> {
        let work = Work::at(place);
        let root = self.root_anew(&work).await?;
        // A name that nobody has asked for, so that no answer to it lies ready.
        let label = format!("{:016x}", RandomState::new().hash_one(place));
        let nothing = Name::from_labels([label.as_bytes()]).unwrap_or_else(|_| Name::root());
        let kind = RecordType::DS;
        let message = self.ask(&nothing, kind, &work).await?;
        let denied = self.denied(&message, &root, &nothing, Claim::Absent(kind), &work)?;
        if denied.denial == Denial::NotProven {
            return Err(Trouble::Bogus(
                ".: that a name is not there is not proven: the proofs (NSEC) are lost on the way"
                    .to_owned(),
            ));
        }
        self.keep_root(&root);
        Ok(())
    }
}
