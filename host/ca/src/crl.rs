//! Revoking, and the CRL.
//!
//! A revocation and the CRL that has it are one change of the index. The file follows it: whoever is killed in between
//! leaves it to the next one that opens the authority.

use portcullis_core::Timestamp;
use portcullis_pki::{RevocationList, Revoked, write_public};

use crate::ca::Ca;
use crate::error::Error;
use crate::index::{Change, Crl, Record, Revocation};
use crate::reason::Reason;

impl Ca {
    /// Revokes a certificate, and makes a CRL that lists it. One that was revoked before stays so as it was. With it goes
    /// what has not expired of its line: whoever has its key may have renewed it.
    ///
    /// # Errors
    /// [`Error::UnknownSerial`] if it is gone, [`Error::Expired`], and what is wrong with the index or the CRL's file.
    pub fn revoke(&self, record: &Record, reason: Reason) -> Result<Record, Error> {
        let now = self.valid_now()?;
        let revoked = self.index.change(|change| {
            change.revoke(record, Revocation { at: now, reason })?;
            self.replace_crl(change, now)?;
            let gone = || Error::UnknownSerial(data_encoding::HEXLOWER.encode(&record.serial));
            change.find(&record.serial)?.ok_or_else(gone)
        })?;
        self.publish()?;
        Ok(revoked)
    }

    /// Makes a new CRL.
    ///
    /// # Errors
    /// [`Error::Expired`], and what is wrong with the index or the CRL's file.
    pub fn refresh_crl(&self) -> Result<Crl, Error> {
        let now = self.valid_now()?;
        let crl = self.index.change(|change| self.replace_crl(change, now))?;
        self.publish()?;
        Ok(crl)
    }

    /// The CRL in force; a new one if half of its time is up.
    ///
    /// # Errors
    /// As [`Ca::refresh_crl`].
    pub fn fresh_crl(&self) -> Result<Crl, Error> {
        match self.index.crl()? {
            Some(crl) if self.clock.now() < crl.this_update.midpoint(crl.next_update) => Ok(crl),
            _ => self.refresh_crl(),
        }
    }

    fn replace_crl(&self, change: &Change<'_>, now: Timestamp) -> Result<Crl, Error> {
        let before = change.crl()?;
        let (number, this_update) = match &before {
            // The time keeps numbers rising even if the index is an older one, from a backup; and a CRL is not older
            // than the one before even if the clock was set back.
            Some(before) => ((before.number + 1).max(by_time(now)), now.max(before.this_update)),
            None => (by_time(now), now),
        };
        // An entry stays until a CRL of after its certificate's validity has had it (RFC 5280, 3.3).
        let since = before.map_or(Timestamp::MIN, |before| before.this_update);
        let revoked =
            change.revoked_since(since)?.into_iter().map(|(serial_number, revocation)| Revoked {
                serial_number,
                at: revocation.at,
                reason: revocation.reason,
            });
        let list = RevocationList {
            number,
            this_update,
            next_update: this_update.saturating_add(self.terms.crl_lifetime),
            revoked: revoked.collect(),
        };
        let signed = self.authority.revocation_list(&list)?;
        let crl = Crl {
            number,
            this_update,
            next_update: list.next_update,
            der: signed.der,
            pem: signed.pem,
        };
        change.replace_crl(&crl)?;
        Ok(crl)
    }

    /// Brings the file up to the index, while no other process changes either: no older CRL replaces a newer one.
    pub(crate) fn publish(&self) -> Result<(), Error> {
        if self.index.is_published()? {
            return Ok(());
        }
        self.index.change(|change| {
            let Some(crl) = change.crl()? else { return Ok(()) };
            write_public(&self.crl_path(), &crl.pem)?;
            change.note_published()
        })
    }
}

fn by_time(now: Timestamp) -> u64 {
    u64::try_from(now).unwrap_or(0)
}
