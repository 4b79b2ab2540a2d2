//! Says in time that something ends: certificates of the gate's own, those that it trusts, those of its clients, and CRLs.
//!
//! [`Alerts`] is told what there is ([`Alerts::replace`], [`Alerts::client`]) and looks at the clock when it is asked to
//! ([`Alerts::check`]). What there is to say becomes one [`Alert`]: a line of the log, and a call of each [`Hook`]. Each is
//! said once for one certificate and one [`Level`], and again after a while. Hooks are slow and may fail; nobody waits for
//! them.
#![deny(missing_docs)]

mod alert;
mod alerts;
mod clients;
mod expiring;
mod hook;
mod options;
mod told;
mod watched;

pub use alert::{Alert, Level};
pub use alerts::{Alerts, Delivery, DeliveryCount, Status};
pub use expiring::Expiring;
pub use hook::{CommandHook, Hook, HookError, Retries, Webhook, WebhookError};
pub use options::AlertOptions;
pub use watched::warnings;
