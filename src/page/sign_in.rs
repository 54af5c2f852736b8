//! Who is signed in, and what lets one sign in: a link that is good once, or the word of a file.
//!
//! All of it is held in memory: after a restart one signs in again.

use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ring::{
    digest, hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    clock::{Clock, Timestamp},
    ctl::wire::hexadecimal,
};

/// How long one stays signed in.
const SESSION_SECONDS: i64 = 12 * 3_600;

/// How long a link is good for.
const LINK_SECONDS: i64 = 5 * 60;

/// How many are signed in at once, and how many links are about; beyond that the oldest goes.
const HELD_MAX: usize = 64;

/// The shortest word of a file that is taken: nobody shall guess it.
const TOKEN_CHARS_MIN: usize = 20;

/// The longest that is read.
const TOKEN_BYTES_MAX: u64 = 1_024;

/// A secret in a form that is safe to look up: whoever measures how long that takes learns nothing of it.
type Digest = [u8; 32];

/// Who is signed in, and what lets one.
pub struct SignIn {
    random: SystemRandom,
    key: hmac::Key,
    token_file: PathBuf,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    sessions: HashMap<Digest, Timestamp>,
    links: HashMap<Digest, Timestamp>,
}

/// The system gives no random numbers. Nobody can act but the machine's administrator.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomNumbers;

impl SignIn {
    /// Nobody is signed in yet.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(token_file: &Path, clock: Arc<dyn Clock>) -> Result<Self, NoRandomNumbers> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| NoRandomNumbers)?;
        Ok(Self {
            random,
            key,
            token_file: token_file.to_owned(),
            clock,
            held: Mutex::default(),
        })
    }

    /// The word of a link that lets one sign in, once, within five minutes.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn link(&self) -> Result<String, NoRandomNumbers> {
        let word = self.word()?;
        self.keep(|held| &mut held.links, &word, LINK_SECONDS);
        Ok(word)
    }

    /// Takes the word of a link or of the file. Gives the name of the new session.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn take(&self, word: &str) -> Result<Option<String>, NoRandomNumbers> {
        let word = word.trim();
        let link = self.held().links.remove(&digest_of(word));
        let by_link = link.is_some_and(|until| self.clock.now() < until);
        if !by_link && !self.is_token(word) {
            return Ok(None);
        }
        let session = self.word()?;
        self.keep(|held| &mut held.sessions, &session, SESSION_SECONDS);
        Ok(Some(session))
    }

    /// Whether a session of this name is signed in.
    pub(super) fn knows(&self, session: &str) -> bool {
        let until = self.held().sessions.get(&digest_of(session)).copied();
        until.is_some_and(|until| self.clock.now() < until)
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &str) {
        self.held().sessions.remove(&digest_of(session));
    }

    /// Whether a file's word lets one sign in.
    pub(super) fn has_token(&self) -> bool {
        !self.token_file.as_os_str().is_empty()
    }

    fn is_token(&self, word: &str) -> bool {
        let Some(token) = self.token() else {
            return false;
        };
        // Equal digests, not equal texts: how long it takes says nothing.
        digest_of(&token) == digest_of(word)
    }

    fn token(&self) -> Option<String> {
        if !self.has_token() {
            return None;
        }
        let path = self.token_file.display();
        let mut token = String::new();
        let read = File::open(&self.token_file)
            .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token));
        if let Err(error) = read {
            tracing::warn!(%path, %error, "page.token_file cannot be read: nobody signs in with it");
            return None;
        }
        let token = token.trim();
        if token.chars().count() < TOKEN_CHARS_MIN {
            tracing::warn!(
                %path,
                "page.token_file has a word of less than {TOKEN_CHARS_MIN} characters: nobody signs in with it"
            );
            return None;
        }
        Some(token.to_owned())
    }

    /// A word of 160 random bits.
    pub(super) fn word(&self) -> Result<String, NoRandomNumbers> {
        let mut octets = [0; 20];
        self.random.fill(&mut octets).map_err(|_| NoRandomNumbers)?;
        Ok(hexadecimal(&octets))
    }

    /// What a form must carry that is sent by whoever has this cookie, and that nobody else can make.
    pub(super) fn form_word(&self, cookie: &str) -> String {
        hexadecimal(hmac::sign(&self.key, cookie.as_bytes()).as_ref())
    }

    /// Whether a form carries it.
    pub(super) fn is_form_word(&self, cookie: &str, word: &str) -> bool {
        digest_of(&self.form_word(cookie)) == digest_of(word)
    }

    /// Keeps one more, and lets go of what is over or too much.
    fn keep(
        &self,
        of: impl Fn(&mut Held) -> &mut HashMap<Digest, Timestamp>,
        word: &str,
        seconds: i64,
    ) {
        let now = self.clock.now();
        let mut held = self.held();
        let held = of(&mut held);
        held.retain(|_, until| now < *until);
        if held.len() >= HELD_MAX {
            let oldest = held.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(name, _)| *name) {
                held.remove(&oldest);
            }
        }
        held.insert(digest_of(word), now.plus_seconds(seconds));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(word: &str) -> Digest {
    let made = digest::digest(&digest::SHA256, word.as_bytes());
    let mut octets = [0; 32];
    for (to, from) in octets.iter_mut().zip(made.as_ref()) {
        *to = *from;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::StoppedClock;

    fn sign_in(token_file: &Path) -> (SignIn, Arc<StoppedClock>) {
        let clock = Arc::new(StoppedClock::at(Timestamp(1_000_000)));
        let sign_in = SignIn::new(token_file, Arc::clone(&clock) as _).unwrap();
        (sign_in, clock)
    }

    #[test]
    fn a_link_is_good_once_and_a_session_until_it_is_ended() {
        let (sign_in, clock) = sign_in(Path::new(""));
        let link = sign_in.link().unwrap();
        assert_eq!(sign_in.take("no such link").unwrap(), None);
        let session = sign_in.take(&link).unwrap().unwrap();
        assert_eq!(sign_in.take(&link).unwrap(), None);
        assert!(sign_in.knows(&session) && !sign_in.knows(&link));
        sign_in.end(&session);
        assert!(!sign_in.knows(&session));
        // Both end by themselves.
        let (late, link) = (sign_in.link().unwrap(), sign_in.link().unwrap());
        clock.advance_seconds(LINK_SECONDS - 1);
        let session = sign_in.take(&link).unwrap().unwrap();
        clock.advance_seconds(1);
        assert_eq!(sign_in.take(&late).unwrap(), None);
        clock.advance_seconds(SESSION_SECONDS - 2);
        assert!(sign_in.knows(&session));
        clock.advance_seconds(1);
        assert!(!sign_in.knows(&session));
        // Without a file no word is one, the empty one least of all.
        assert_eq!(sign_in.take("").unwrap(), None);
    }

    #[test]
    fn the_word_of_the_file_is_read_anew_and_a_short_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let (sign_in, _clock) = sign_in(&file);
        assert_eq!(sign_in.take("0123456789abcdef0123").unwrap(), None);
        std::fs::write(&file, "short\n").unwrap();
        assert_eq!(sign_in.take("short").unwrap(), None);
        std::fs::write(&file, " 0123456789abcdef0123\n").unwrap();
        assert!(sign_in.take("0123456789abcdef0123").unwrap().is_some());
        assert_eq!(sign_in.take("0123456789abcdef012").unwrap(), None);
        std::fs::write(&file, "another-0123456789abcdef\n").unwrap();
        assert_eq!(sign_in.take("0123456789abcdef0123").unwrap(), None);
    }

    #[test]
    fn a_form_is_bound_to_the_cookie_and_to_this_daemon() {
        let ((one, _), (other, _)) = (sign_in(Path::new("")), sign_in(Path::new("")));
        let word = one.form_word("cookie");
        assert!(one.is_form_word("cookie", &word));
        assert!(!one.is_form_word("another", &word));
        assert!(!one.is_form_word("cookie", ""));
        assert!(!other.is_form_word("cookie", &word));
    }

    #[test]
    fn sessions_do_not_fill_the_memory() {
        let (sign_in, clock) = sign_in(Path::new(""));
        let first = sign_in.link().unwrap();
        for _ in 0..HELD_MAX {
            clock.advance_seconds(1);
            sign_in.link().unwrap();
        }
        assert_eq!(sign_in.held().links.len(), HELD_MAX);
        assert_eq!(sign_in.take(&first).unwrap(), None);
    }
}
