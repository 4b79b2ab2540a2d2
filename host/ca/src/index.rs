//! What was issued and revoked, in SQLite.
//!
//! The journal is a write-ahead log, so those who read do not wait; those who write come one after the other. What is
//! committed is on the disk.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_core::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, Transaction,
    TransactionBehavior, params,
};

use crate::error::Error;
use crate::reason::{self, Reason};

/// "PTCA", so that no other program's database is taken for an index.
const APPLICATION_ID: i32 = 0x5054_4341;
/// Raised with every change of the schema.
const FORMAT: i32 = 2;
/// How long a process waits for those before it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

const SCHEMA: &str = "
    CREATE TABLE certificates (
        serial BLOB PRIMARY KEY CHECK (length(serial) BETWEEN 1 AND 20),
        name TEXT NOT NULL,
        der BLOB NOT NULL,
        not_before INTEGER NOT NULL,
        not_after INTEGER NOT NULL,
        from_request INTEGER NOT NULL,
        revoked_at INTEGER,
        reason INTEGER,
        line BLOB NOT NULL,
        CHECK ((revoked_at IS NULL) = (reason IS NULL))
    ) STRICT;
    CREATE INDEX revoked ON certificates (not_after) WHERE revoked_at IS NOT NULL;
    CREATE INDEX line ON certificates (line);
    CREATE TABLE crl (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        number INTEGER NOT NULL,
        this_update INTEGER NOT NULL,
        next_update INTEGER NOT NULL,
        der BLOB NOT NULL,
        pem TEXT NOT NULL,
        published INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE terms (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        maximum_lifetime INTEGER NOT NULL,
        crl_lifetime INTEGER NOT NULL,
        crl_url TEXT,
        ocsp_url TEXT,
        trust_domain TEXT
    ) STRICT;
";

/// From format 1, which did not know what was renewed into what.
const FROM_FORMAT_1: &str = "
    ALTER TABLE certificates ADD COLUMN line BLOB NOT NULL DEFAULT x'';
    UPDATE certificates SET line = serial;
    CREATE INDEX line ON certificates (line);
";

const RECORD: &str = "SELECT serial, name, der, not_before, not_after, from_request, revoked_at, reason, line FROM certificates";

/// The index of an authority.
pub(crate) struct Index {
    path: PathBuf,
    connection: Connection,
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Big-endian, without leading zeros.
    pub serial: Vec<u8>,
    /// The common name that was asked for.
    pub name: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: Timestamp,
    /// Seconds since 1970.
    pub not_after: Timestamp,
    /// Whether its owner has made the key, and sent a request.
    pub from_request: bool,
    /// Whether it was revoked.
    pub revocation: Option<Revocation>,
    /// The serial number of the first certificate of its line: of the one that it was renewed from, and so on back to one
    /// that was issued. Its own if it is that one.
    pub line: Vec<u8>,
}

/// That a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When, in seconds since 1970.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

impl Revocation {
    /// The reason's name in RFC 5280.
    #[must_use]
    pub fn reason_name(&self) -> &'static str {
        reason::name(self.reason)
    }
}

/// What holds for everything that an authority issues.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) maximum_lifetime: i64,
    pub(crate) crl_lifetime: i64,
    pub(crate) crl_url: Option<String>,
    pub(crate) ocsp_url: Option<String>,
    pub(crate) trust_domain: Option<String>,
}

/// The CRL in force.
#[derive(Clone, Debug)]
pub struct Crl {
    /// Higher than that of every CRL before.
    pub number: u64,
    /// When it was made, in seconds since 1970.
    pub this_update: Timestamp,
    /// Until when it is in force, in seconds since 1970.
    pub next_update: Timestamp,
    /// The CRL.
    pub der: Vec<u8>,
    /// The same in PEM.
    pub pem: String,
}

impl Index {
    /// Makes the index of a new authority.
    pub(crate) fn create(path: &Path, terms: &Terms) -> Result<Self, Error> {
        // SQLite gives its other files the mode of this one.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(path).map_err(|error| Error::io(path, error))?;
        let index = Self::connect(path)?;
        index.make(terms).map_err(|error| index.failed(error))?;
        Ok(index)
    }

    fn make(&self, terms: &Terms) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        let transaction = self.begin()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute(
            "INSERT INTO terms VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![
                terms.maximum_lifetime,
                terms.crl_lifetime,
                terms.crl_url,
                terms.ocsp_url,
                terms.trust_domain
            ],
        )?;
        transaction.commit()
    }

    /// Opens an index that is there; none is made, since with a lost index the revocations are lost.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let index = Self::connect(path)?;
        let number = |name| index.connection.pragma_query_value(None, name, |row| row.get(0));
        let found: (i32, i32) = number("application_id")
            .and_then(|id| Ok((id, number("user_version")?)))
            .map_err(|error| index.failed(error))?;
        let known = (APPLICATION_ID, FORMAT);
        if found == (APPLICATION_ID, 1) {
            index.upgrade().map_err(|error| index.failed(error))?;
        } else if found != known {
            let text = |(id, format): (i32, i32)| format!("{id:08x}.{format}");
            return Err(Error::IndexFormat {
                path: path.to_owned(),
                found: text(found),
                known: text(known),
            });
        }
        Ok(index)
    }

    fn upgrade(&self) -> rusqlite::Result<()> {
        let transaction = self.begin()?;
        // Another process may have been here first.
        let format: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if format == 1 {
            transaction.execute_batch(FROM_FORMAT_1)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()
    }

    fn connect(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| Error::Index { path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let index = Self { path: path.to_owned(), connection };
        index
            .connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(|error| index.failed(error))?;
        Ok(index)
    }

    pub(crate) fn failed(&self, source: rusqlite::Error) -> Error {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::Damaged { path, source }
            }
            // What the schema rules out.
            None => Error::Damaged { path, source },
            _ => Error::Index { path, source },
        }
    }

    pub(crate) fn terms(&self) -> Result<Terms, Error> {
        let sql =
            "SELECT maximum_lifetime, crl_lifetime, crl_url, ocsp_url, trust_domain FROM terms";
        let terms = self.connection.query_row(sql, [], |row| {
            Ok(Terms {
                maximum_lifetime: row.get(0)?,
                crl_lifetime: row.get(1)?,
                crl_url: row.get(2)?,
                ocsp_url: row.get(3)?,
                trust_domain: row.get(4)?,
            })
        });
        terms.map_err(|error| self.failed(error))
    }

    pub(crate) fn find(&self, serial: &[u8]) -> Result<Option<Record>, Error> {
        find(&self.connection, serial).map_err(|error| self.failed(error))
    }

    /// Everything that was issued, by the end of its validity.
    pub(crate) fn all(&self) -> Result<Vec<Record>, Error> {
        let query = || {
            let mut statement =
                self.connection.prepare(&format!("{RECORD} ORDER BY not_after, serial"))?;
            statement.query_map([], record)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        query().map_err(|error| self.failed(error))
    }

    pub(crate) fn crl(&self) -> Result<Option<Crl>, Error> {
        crl(&self.connection).map_err(|error| self.failed(error))
    }

    /// Whether the file has the CRL in force.
    pub(crate) fn is_published(&self) -> Result<bool, Error> {
        let sql = "SELECT coalesce(max(published = number), 0) FROM crl";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| self.failed(error))
    }

    /// Makes changes that are all made or none, while no other process makes any.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&Change<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = self.begin().map_err(|error| self.failed(error))?;
        let change = change(&Change { index: self, transaction: &transaction })?;
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(change)
    }

    fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
    }
}

/// Changes under way.
pub(crate) struct Change<'a> {
    index: &'a Index,
    transaction: &'a Transaction<'a>,
}

impl Change<'_> {
    fn run<T>(&self, result: rusqlite::Result<T>) -> Result<T, Error> {
        result.map_err(|error| self.index.failed(error))
    }

    pub(crate) fn find(&self, serial: &[u8]) -> Result<Option<Record>, Error> {
        self.run(find(self.transaction, serial))
    }

    /// Records a certificate. One whose serial number is there already is an error.
    pub(crate) fn insert(&self, record: &Record) -> Result<(), Error> {
        self.run(self.transaction.execute(
            "INSERT INTO certificates (serial, name, der, not_before, not_after, from_request, line)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                record.serial,
                record.name,
                record.der,
                record.not_before,
                record.not_after,
                record.from_request,
                record.line
            ],
        ))?;
        Ok(())
    }

    /// Marks a certificate as revoked, and with it what has not expired of its line.
    pub(crate) fn revoke(&self, record: &Record, revocation: Revocation) -> Result<(), Error> {
        self.run(self.transaction.execute(
            "UPDATE certificates SET revoked_at = ?3, reason = ?4
             WHERE revoked_at IS NULL AND (serial = ?1 OR line = ?2 AND not_after >= ?3)",
            params![record.serial, record.line, revocation.at, revocation.reason as i64],
        ))?;
        Ok(())
    }

    /// How many certificates of a line have not expired at this time.
    pub(crate) fn living(&self, line: &[u8], time: Timestamp) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM certificates WHERE line = ?1 AND not_after >= ?2";
        self.run(self.transaction.query_row(sql, params![line, time], |row| row.get(0)))
    }

    /// The revoked certificates that had not expired at this time.
    pub(crate) fn revoked_since(
        &self,
        time: Timestamp,
    ) -> Result<Vec<(Vec<u8>, Revocation)>, Error> {
        let query = || {
            let mut statement = self.transaction.prepare(
                "SELECT serial, revoked_at, reason FROM certificates
                 WHERE revoked_at IS NOT NULL AND not_after >= ?1 ORDER BY revoked_at, serial",
            )?;
            let rows = statement.query_map([time], |row| {
                Ok((row.get(0)?, Revocation { at: row.get(1)?, reason: reason::of(row.get(2)?) }))
            })?;
            rows.collect()
        };
        self.run(query())
    }

    pub(crate) fn crl(&self) -> Result<Option<Crl>, Error> {
        self.run(crl(self.transaction))
    }

    /// Puts a CRL in the place of the one in force. It is not in the file yet.
    pub(crate) fn replace_crl(&self, crl: &Crl) -> Result<(), Error> {
        let number = i64::try_from(crl.number).unwrap_or(i64::MAX);
        self.run(self.transaction.execute(
            "INSERT INTO crl VALUES (1, ?1, ?2, ?3, ?4, ?5, 0)
             ON CONFLICT (one) DO UPDATE SET number = ?1, this_update = ?2, next_update = ?3, der = ?4, pem = ?5",
            params![number, crl.this_update, crl.next_update, crl.der, crl.pem],
        ))?;
        Ok(())
    }

    /// Notes that the file has the CRL in force.
    pub(crate) fn note_published(&self) -> Result<(), Error> {
        self.run(self.transaction.execute("UPDATE crl SET published = number", []))?;
        Ok(())
    }
}

fn find(connection: &Connection, serial: &[u8]) -> rusqlite::Result<Option<Record>> {
    connection.query_row(&format!("{RECORD} WHERE serial = ?1"), [serial], record).optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let revoked_at: Option<Timestamp> = row.get(6)?;
    let revocation = match revoked_at {
        Some(at) => Some(Revocation { at, reason: reason::of(row.get(7)?) }),
        None => None,
    };
    Ok(Record {
        serial: row.get(0)?,
        name: row.get(1)?,
        der: row.get(2)?,
        not_before: row.get(3)?,
        not_after: row.get(4)?,
        from_request: row.get(5)?,
        revocation,
        line: row.get(8)?,
    })
}

fn crl(connection: &Connection) -> rusqlite::Result<Option<Crl>> {
    let sql = "SELECT number, this_update, next_update, der, pem FROM crl";
    connection
        .query_row(sql, [], |row| {
            Ok(Crl {
                number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                this_update: row.get(1)?,
                next_update: row.get(2)?,
                der: row.get(3)?,
                pem: row.get(4)?,
            })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        maximum_lifetime: 1,
        crl_lifetime: 1,
        crl_url: None,
        ocsp_url: None,
        trust_domain: None,
    };

    fn record(serial: u8) -> Record {
        Record {
            serial: vec![serial; 16],
            name: "client".to_owned(),
            der: vec![1, 2, 3],
            not_before: 0,
            not_after: 100,
            from_request: false,
            revocation: None,
            line: vec![serial; 16],
        }
    }

    fn insert(index: &Index, record: &Record) -> Result<(), Error> {
        index.change(|change| change.insert(record))
    }

    fn revoked(index: &Index, serial: u8) -> Option<Timestamp> {
        let found = index.find(&record(serial).serial).unwrap().unwrap();
        found.revocation.map(|revocation| revocation.at)
    }

    #[test]
    fn a_serial_number_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index"), &TERMS).unwrap();
        insert(&index, &record(1)).unwrap();
        assert!(insert(&index, &record(1)).is_err());
        assert_eq!(index.all().unwrap(), [record(1)]);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index"), &TERMS).unwrap();
        insert(&index, &record(1)).unwrap();
        let revocation = Revocation { at: 5, reason: Reason::KeyCompromise };
        let failed = index.change(|change| {
            change.revoke(&record(1), revocation)?;
            assert_eq!(change.find(&record(1).serial)?.unwrap().revocation, Some(revocation));
            Err::<(), _>(Error::UnknownSerial(String::new()))
        });
        assert!(failed.is_err());
        assert_eq!(index.find(&record(1).serial).unwrap(), Some(record(1)));
    }

    #[test]
    fn the_first_revocation_counts() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index"), &TERMS).unwrap();
        insert(&index, &record(1)).unwrap();
        for at in [5, 6] {
            let revocation = Revocation { at, reason: Reason::Superseded };
            index.change(|change| change.revoke(&record(1), revocation)).unwrap();
        }
        assert_eq!(revoked(&index, 1), Some(5));
        let since = |time| index.change(|change| change.revoked_since(time)).unwrap().len();
        assert_eq!((since(100), since(101)), (1, 0));
    }

    #[test]
    fn a_revocation_covers_what_lives_of_the_line_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index"), &TERMS).unwrap();
        let line = record(1).line;
        let expired = Record { not_after: 4, ..record(1) };
        let of_the_line = |serial| Record { line: line.clone(), ..record(serial) };
        for record in [expired, of_the_line(2), of_the_line(3), record(4)] {
            insert(&index, &record).unwrap();
        }
        assert_eq!(index.change(|change| change.living(&line, 5)).unwrap(), 2);
        let revocation = Revocation { at: 5, reason: Reason::KeyCompromise };
        index.change(|change| change.revoke(&of_the_line(2), revocation)).unwrap();
        let revoked = [1, 2, 3, 4].map(|serial| revoked(&index, serial));
        assert_eq!(revoked, [None, Some(5), Some(5), None]);
    }

    #[test]
    fn an_index_of_format_1_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let index = Index::create(&path, &TERMS).unwrap();
        insert(&index, &record(1)).unwrap();
        let back =
            "DROP INDEX line; ALTER TABLE certificates DROP COLUMN line; PRAGMA user_version = 1;";
        index.connection.execute_batch(back).unwrap();
        drop(index);
        let index = Index::open(&path).unwrap();
        assert_eq!(index.all().unwrap(), [record(1)]);
        insert(&index, &record(2)).unwrap();
        drop(index);
        assert_eq!(Index::open(&path).unwrap().all().unwrap().len(), 2);
    }

    #[test]
    fn another_programs_database_and_garbage_are_no_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
        assert!(matches!(Index::open(&path), Err(Error::IndexFormat { .. })));
        std::fs::write(&path, [0x55; 8192]).unwrap();
        assert!(matches!(Index::open(&path), Err(Error::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Index::open(&path), Err(Error::Index { .. })));
        assert!(!path.exists(), "none is made");
    }
}
