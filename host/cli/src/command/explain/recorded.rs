//! A handshake from a recording: the last one that is meant.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use portcullis_engine::{Certificate, Handshake};
use portcullis_recording::{
    EXTENSION, ReadError, Reader, Record, RecordedOutcome, RecordedVerdict,
};

use crate::arguments::Which;
use portcullis_config::Mistake;

/// A record, and where it is from.
pub(super) struct Recorded {
    pub(super) record: Record,
    pub(super) handshake: Handshake,
    /// For people: a file and a place in it, or a gate.
    pub(super) source: String,
}

impl Recorded {
    fn new(record: Record, source: String) -> Result<Self, String> {
        let handshake = record.handshake().map_err(|error| format!("a certificate: {error}"))?;
        Ok(Self { record, handshake, source })
    }

    /// The last record of a recording that is wanted, and what is damaged in it.
    pub(super) fn last_of(
        source: impl Read,
        name: &str,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<(Option<Self>, u64), String> {
        let mut damaged = 0;
        let mut found = None;
        for item in Reader::new(source).map_err(|error| error.to_string())? {
            match item.and_then(|raw| Ok((raw.offset, raw.decode()?))) {
                Ok((offset, record)) if wanted(&record) => found = Some((offset, record)),
                Ok(_) => {}
                Err(ReadError::Io(error)) => return Err(error.to_string()),
                Err(_) => damaged += 1,
            }
        }
        let found = found
            .map(|(offset, record)| Self::new(record, format!("{name}, byte {offset}")))
            .transpose()?;
        Ok((found, damaged))
    }
}

/// The last one that is meant, of a file or of all files of a folder.
pub(super) fn find(path: &Path, which: &Which) -> Result<Recorded, Mistake> {
    let wanted = |record: &Record| is_meant(record, which);
    for file in newest_first(path)? {
        let failed = |problem: String| Mistake::file(&file, &problem);
        let source = File::open(&file).map_err(|error| failed(error.to_string()))?;
        let name = file.display().to_string();
        match Recorded::last_of(BufReader::new(source), &name, wanted) {
            Ok((found, damaged)) => {
                if damaged > 0 {
                    tracing::warn!(file = name, damaged, "records are damaged and passed over");
                }
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            Err(problem) => return Err(failed(problem)),
        }
    }
    Err(Mistake::file(path, "no recorded handshake is the one that is meant")
        .hint("leave out `--principal`, `--serial` or `--from`, or look into another recording"))
}

fn newest_first(path: &Path) -> Result<Vec<PathBuf>, Mistake> {
    let failed = |error: std::io::Error| Mistake::file(path, &error.to_string());
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(file);
        }
    }
    // Their names are in the order of time.
    files.sort_by(|a, b| b.cmp(a));
    Ok(files)
}

fn is_meant(record: &Record, which: &Which) -> bool {
    let serial = || {
        let leaf = Certificate::from_der(record.certificates.first()?.clone()).ok()?;
        Some(leaf.serial_number().to_owned())
    };
    let wanted_serial = which.serial.as_ref().map(|text| text.replace(':', "").to_lowercase());
    which.from.is_none_or(|from| record.peer_address.ip == from)
        && which.principal.as_ref().is_none_or(|name| names(record).any(|known| known == name))
        && wanted_serial.is_none_or(|wanted| serial().is_some_and(|serial| serial == wanted))
}

/// Every name that a policy gave the client, whether it came in or not.
fn names(record: &Record) -> impl Iterator<Item = &String> {
    let of_verdict = match &record.decision.verdict {
        RecordedVerdict::Accepted { principal, .. } => principal.as_ref(),
        RecordedVerdict::Rejected { .. } => None,
    };
    let of_policies = record.decision.policies.iter().filter_map(|part| match &part.outcome {
        RecordedOutcome::Accepted { principal, .. } => principal.as_ref(),
        _ => None,
    });
    of_verdict.into_iter().chain(of_policies)
}
