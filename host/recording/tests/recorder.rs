//! Recordings that are written as a gate writes them.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::{policies, record};
use portcullis_core::{
    Certificate, Clock, Decision, Handshake, Identity, Outcome, PolicyReport, Revocation,
    RevocationAnswer, RevocationCheck, RevocationStatus, Timestamp, Verdict,
};
use portcullis_pki::{Authority, Profile, Validity};
use portcullis_recording::{
    AnsweredOnce, Damage, Options, PolicyIdentity, ReadError, Reader, Record, RecordedDecision,
    Recorder, RecordingError,
};

const NOW: Timestamp = 1_795_521_600; // 2026-11-24T12:00:00Z

fn start(directory: &Path) -> Recorder {
    Recorder::start(Options::new(directory.to_owned()), Clock::fixed(NOW)).expect("it starts")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<Record> {
    let reader = Reader::new(File::open(path).unwrap()).unwrap();
    reader.map(|item| item.unwrap().decode().unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_recorded_is_on_disk_once_the_recorder_is_gone_and_private() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("new/recordings");
    let recorder = start(&directory);
    let policies = policies();
    let records: Vec<_> = (0..100).map(record).collect();
    for record in &records {
        recorder.record(&policies, record);
    }
    drop(recorder);
    let files = files(&directory);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].file_name().unwrap(), "handshakes-20261124T120000Z-0000.recording");
    assert_eq!(read(&files[0]), records);
    assert_eq!((mode(&directory), mode(&files[0])), (0o700, 0o600));
    let reader = Reader::new(File::open(&files[0]).unwrap()).unwrap();
    let header = reader.header().unwrap();
    assert_eq!((header.created, &header.policies[..]), (NOW, &policies[..]));
}

#[test]
fn after_a_crash_in_the_middle_of_a_record_a_new_file_is_begun_and_the_old_one_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    for _ in 0..2 {
        let recorder = start(&directory);
        recorder.record(&policies(), &record(1));
        recorder.record(&policies(), &record(2));
        drop(recorder);
        // As a crash leaves it.
        let last = files(&directory).pop().unwrap();
        let file = File::options().write(true).open(&last).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    }
    let files = files(&directory);
    assert_eq!(files.len(), 2);
    for path in files {
        let items: Vec<_> = Reader::new(File::open(&path).unwrap()).unwrap().collect();
        assert_eq!(items[0].as_ref().unwrap().decode().unwrap(), record(1));
        assert!(matches!(items[1], Err(ReadError::Damaged { damage: Damage::Torn, .. })));
        assert_eq!(items.len(), 2);
    }
}

#[test]
fn other_policies_begin_another_file_so_that_each_file_has_one_chain() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    let recorder = start(&directory);
    let first = policies();
    let second = first.iter().cloned().map(|one| PolicyIdentity { shadow: true, ..one }).collect();
    recorder.record(&first, &record(1));
    recorder.record(&second, &record(2));
    recorder.record(&second, &record(3));
    drop(recorder);
    let counts: Vec<_> = files(&directory).iter().map(|path| read(path).len()).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_counted_and_holds_nobody_up() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    let recorder = start(&directory);
    fs::remove_dir(&directory).unwrap();
    fs::write(&directory, "a file where the directory was").unwrap();
    for number in 0..10 {
        recorder.record(&policies(), &record(number));
    }
    // The counts are complete once everything was tried.
    while recorder.counts().failures < 10 {
        std::thread::yield_now();
    }
    assert_eq!(recorder.counts().records, 0);
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let options = Options::new(home.path().to_owned());
    assert!(matches!(
        Recorder::start(options, Clock::fixed(NOW)),
        Err(RecordingError::Mode { mode: 0o750, .. })
    ));
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let changes: [fn(&mut Options); 3] = [
        |options| options.maximum_file_bytes = 1,
        |options| options.maximum_total_bytes = options.maximum_file_bytes - 1,
        |options| options.maximum_age_seconds = 0,
    ];
    for change in changes {
        let mut options = Options::new(home.path().join("recordings"));
        change(&mut options);
        let refused = Recorder::start(options, Clock::fixed(NOW));
        assert!(matches!(refused, Err(RecordingError::Options(_))));
    }
}

/// A source that gives another answer each time, the first one pending.
#[derive(Default)]
struct Fickle(Mutex<i64>);

impl Revocation for Fickle {
    fn check(&self, _: &Certificate, _: &Certificate, _: &str, _: Timestamp) -> RevocationAnswer {
        let mut asked = self.0.lock().unwrap();
        *asked += 1;
        RevocationAnswer {
            status: RevocationStatus::Good,
            source: "ocsp".to_owned(),
            detail: String::new(),
            revoked_at: None,
            this_update: Some(*asked),
            next_update: None,
            pending: *asked == 1,
        }
    }
}

fn handshake() -> Handshake {
    let validity = Validity { not_before: NOW - 60, not_after: NOW + 60 };
    let authority = Authority::root(&Profile::authority("Root", validity)).unwrap();
    let client = authority.issue(&Profile::client("alice", validity)).unwrap();
    let chain = [client.certificate_der, authority.certificate_der().to_vec()];
    Handshake {
        chain: chain.map(|der| Arc::new(Certificate::from_der(der).unwrap())).to_vec(),
        time: NOW,
        peer_address: "[fe80::1%2]:4711".parse().unwrap(),
        server_name: None,
    }
}

#[test]
fn a_decision_is_told_the_same_each_time_and_what_was_pending_only_until_it_has_waited() {
    let handshake = handshake();
    let (subject, issuer) = (&handshake.chain[0], &handshake.chain[1]);
    let answers = AnsweredOnce::new(Arc::new(Fickle::default()));
    let ask = || answers.check(subject, issuer, "ocsp", NOW);
    assert_eq!((ask().this_update, ask().this_update), (Some(1), Some(1)));
    let check = RevocationCheck {
        subject: Arc::clone(subject),
        issuer: Arc::clone(issuer),
        source: "ocsp".to_owned(),
        answer: ask(),
    };
    answers.wait(&check, NOW);
    assert_eq!((ask().this_update, ask().this_update), (Some(2), Some(2)));
    answers.wait(&check, NOW);
    assert_eq!(ask().this_update, Some(2), "what is known stays");
}

#[test]
fn a_record_gives_the_handshake_and_the_answers_back() {
    let handshake = handshake();
    let (subject, issuer) = (&handshake.chain[0], &handshake.chain[1]);
    let once = AnsweredOnce::new(Arc::new(Fickle::default()));
    let told = once.check(subject, issuer, "ocsp", NOW);
    let outcome = Outcome::Failed { code: "policy-timeout", detail: "slow".to_owned() };
    let report = PolicyReport {
        policy: "revocation".to_owned(),
        digest: String::new(),
        shadow: true,
        outcome,
        revocation: Vec::new(),
        log: Vec::new(),
        elapsed: std::time::Duration::from_micros(17),
        memory_bytes: 1,
    };
    let decision = Decision {
        verdict: Verdict::Accept(Identity::default()),
        policies: vec![report],
        elapsed: std::time::Duration::ZERO,
    };
    let record = Record::new(&handshake, &once.answers(), &decision);
    let again = record.handshake().unwrap();
    assert_eq!(again.chain[1].der(), handshake.chain[1].der());
    assert_eq!(again.time, handshake.time);
    assert_eq!(again.peer_address.to_string(), "[fe80::1%2]:4711");
    let answered = record.recorded_answers().check(subject, issuer, "ocsp", NOW);
    assert_eq!(answered, RevocationAnswer { pending: false, ..told });

    let recorded = RecordedDecision::from(&decision);
    assert_eq!(recorded, record.decision);
    assert_eq!(recorded.policies[0].elapsed_us, 17);
    assert_eq!(recorded.repeatable().policies[0].elapsed_us, 0);
}
