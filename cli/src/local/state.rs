//! The file of `--state`: one process at a time has it, and in its records time never runs backwards.
//!
//! Beside it lies a file of the same name and `.lock`. The system locks that for this process, however the
//! process ends, and in it stands a time that virtual time has not reached yet: after a run at `--speed` the
//! records lie ahead of the wall clock, and the next run goes on from there.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::stage::StageError;
use crate::verbs::chain;

/// How a file of the embedded database begins.
const DATABASE: &[u8] = b"SQLite format 3\0";
/// How far ahead the time in the file is, in seconds of the wall clock: for longer than it stands there.
const AHEAD: f64 = 5.0;

/// Why a file can't keep the records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// Another process has it.
    #[error(
        "{0} is the state of a `canary local` that runs already: end that one, or name another file with --state"
    )]
    Taken(String),
    /// Something else is in it.
    #[error(
        "{file} is no state of `canary local` ({why}): move it away, or name another with --state"
    )]
    Unfit {
        /// The file, or the one beside it.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system does not let us have it.
    #[error("{file} can't be used; name another file with --state")]
    Unusable {
        /// The file, or the one beside it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The file, which nobody else has.
#[derive(Debug)]
pub(crate) struct State {
    file: PathBuf,
    /// The file beside it, locked for as long as it is open.
    beside: File,
    /// Its name.
    lock: PathBuf,
    /// From which time on the records go on; absent where there are none.
    pub(crate) goes_on_from: Option<Timestamp>,
}

impl State {
    /// Takes the file; it need not be there yet.
    pub(crate) fn hold(file: &Path) -> Result<Self, StateError> {
        let has_records = is_database(file)?;
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        let name = PathBuf::from(name);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut beside = options.open(&name).map_err(|it| unusable(&name, it))?;
        match beside.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Taken(file.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&name, error)),
        }
        let mut text = String::new();
        let read = beside.read_to_string(&mut text);
        read.map_err(|error| unusable(&name, error))?;
        let reached: Option<Timestamp> = match text.trim() {
            "" => None,
            text => match text.parse() {
                Ok(reached) => Some(reached),
                Err(_) => return Err(unfit(&name, "it has no time in it".to_owned())),
            },
        };
        Ok(Self {
            file: file.to_owned(),
            beside,
            lock: name,
            goes_on_from: reached.filter(|_| has_records),
        })
    }

    /// Writes down a time that is not reached for some seconds of the wall clock, at this speed.
    pub(crate) fn keep(&self, now: Timestamp, speed: f64) -> Result<(), StateError> {
        // Whole seconds are written.
        let ahead = SignedDuration::try_from_secs_f64(1.0 + AHEAD * speed);
        let ahead = ahead.ok().and_then(|ahead| now.checked_add(ahead).ok());
        // Always of one length: what is written over the last one leaves nothing of it, at whatever moment
        // the process ends.
        let line = format!("{:.0}\n", ahead.unwrap_or(now));
        let mut beside = &self.beside;
        let written = beside.seek(SeekFrom::Start(0));
        let written = written.and_then(|_| beside.write_all(line.as_bytes()));
        written.map_err(|error| unusable(&self.lock, error))
    }

    /// The same error, in words about the file where the embedded database could not open it.
    pub(crate) fn told(&self, error: StageError) -> StageError {
        match error {
            StageError::Simulator(error) => unfit(&self.file, chain(&error)).into(),
            other => other,
        }
    }
}

/// Whether it is a database; a file that is empty or is not there becomes one.
fn is_database(file: &Path) -> Result<bool, StateError> {
    let mut head = Vec::new();
    let length = DATABASE.len() as u64;
    let read = File::open(file).and_then(|it| it.take(length).read_to_end(&mut head));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(file, error)),
        Ok(0) => Ok(false),
        Ok(_) if head == DATABASE => Ok(true),
        Ok(_) => Err(unfit(file, "it is no SQLite database".to_owned())),
    }
}

fn unfit(file: &Path, why: String) -> StateError {
    let file = file.display().to_string();
    StateError::Unfit { file, why }
}

fn unusable(file: &Path, source: io::Error) -> StateError {
    let file = file.display().to_string();
    StateError::Unusable { file, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one test alone, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("canary-state-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).expect("a folder for the test");
            Self(folder)
        }

        fn file(&self, name: &str, text: &[u8]) -> PathBuf {
            let file = self.0.join(name);
            std::fs::write(&file, text).expect("a file for the test");
            file
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_process_has_a_state_until_it_ends() {
        let folder = Folder::new("one");
        let file = folder.file("records.sqlite", DATABASE);
        let first = State::hold(&file).expect("nobody has it");
        let second = State::hold(&file).expect_err("it is taken").to_string();
        let name = file.display();
        assert!(second.starts_with(&format!(
            "{name} is the state of a `canary local` that runs"
        )));
        assert!(
            second.ends_with("name another file with --state"),
            "{second}"
        );
        drop(first);
        State::hold(&file).expect("it is free again");
    }

    #[test]
    fn what_is_no_state_is_said_in_our_words_and_left_as_it_is() {
        let folder = Folder::new("unfit");
        let file = folder.file("notes.txt", b"milk, eggs\n");
        let error = State::hold(&file).expect_err("no database").to_string();
        let expected = format!(
            "{} is no state of `canary local` (it is no SQLite database): move it away, or name another with --state",
            file.display()
        );
        assert_eq!(error, expected);
        let text = std::fs::read(&file).expect("it is there");
        assert_eq!(text, b"milk, eggs\n");
        assert!(!folder.0.join("notes.txt.lock").exists());

        folder.file("odd.lock", b"somebody's own\n");
        let error = State::hold(&folder.0.join("odd")).expect_err("no time");
        assert!(
            error.to_string().contains("odd.lock is no state"),
            "{error}"
        );
        for unusable in [folder.0.clone(), folder.0.join("nowhere").join("records")] {
            let error = State::hold(&unusable).expect_err("no file");
            assert!(matches!(error, StateError::Unusable { .. }), "{error}");
        }
    }

    #[test]
    fn time_goes_on_from_beyond_what_was_reached() {
        let folder = Folder::new("time");
        let file = folder.file("records.sqlite", DATABASE);
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let state = State::hold(&file).expect("nobody has it");
        assert_eq!(state.goes_on_from, None);
        for now in ["2126-01-05T09:00:00.75Z", "2126-01-05T10:00:00Z"] {
            state.keep(at(now), 60.0).expect("it can be written");
        }
        drop(state);
        let state = State::hold(&file).expect("nobody has it");
        assert_eq!(state.goes_on_from, Some(at("2126-01-05T10:05:01Z")));
        // What can't be written is the file beside it.
        let beside = File::open(&state.lock).expect("it is there");
        let unwritten = State { beside, ..state };
        let error = unwritten.keep(at("2126-01-05T10:00:00Z"), 60.0);
        let error = error.expect_err("it is open for reading alone").to_string();
        assert!(
            error.contains("records.sqlite.lock can't be used"),
            "{error}"
        );
        drop(state.beside);
        drop(unwritten);
        // Without its records it begins anew.
        std::fs::remove_file(&file).expect("it is there");
        let state = State::hold(&file).expect("nobody has it");
        assert_eq!(state.goes_on_from, None);
    }
}
