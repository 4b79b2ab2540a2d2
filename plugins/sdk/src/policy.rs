//! The trait of a policy, and its way from Rust to the component's exports.

use std::sync::OnceLock;

use crate::{Asset, Assets, Description, Handshake, Verdict};

/// A policy: judges one handshake at a time, from settings and assets that it took once.
///
/// The value that [`configure`](Self::configure) makes is kept in the component's memory, and every evaluation starts
/// from a copy of that memory: work done once there costs nothing per handshake. Host resources (a [`Certificate`])
/// must not be kept in it; only memory survives.
///
/// [`Certificate`]: crate::Certificate
pub trait Policy: Send + Sized + Sync + 'static {
    /// What this policy is and takes.
    fn describe() -> Description;

    /// Takes the settings, a JSON object as text, and the assets.
    ///
    /// # Errors
    /// What is wrong with which setting or asset, for the operator. The load fails, and whatever was in force before
    /// stays in force.
    fn configure(settings: &str, assets: &Assets) -> Result<Self, String>;

    /// Judges one handshake. The same handshake, settings, assets and revocation answers must give the same verdict.
    ///
    /// # Errors
    /// Why the policy could not judge. The client is refused, and the failure counted apart from rejections.
    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String>;
}

/// Exports a [`Policy`] as the component's policy. Once per component.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        const _: () = {
            static INSTANCE: $crate::Instance<$policy> = $crate::Instance::new();

            struct Component;

            impl $crate::bindings::Guest for Component {
                fn describe() -> $crate::Description {
                    <$policy as $crate::Policy>::describe()
                }

                fn configure(
                    settings: String,
                    assets: Vec<$crate::Asset>,
                ) -> ::core::result::Result<(), String> {
                    INSTANCE.configure(&settings, assets)
                }

                fn evaluate(
                    handshake: $crate::Handshake,
                ) -> ::core::result::Result<$crate::Verdict, String> {
                    INSTANCE.evaluate(&handshake)
                }
            }

    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// The one policy of a component, empty until it is configured.
pub struct Instance<P>(OnceLock<P>);

impl<P: Policy> Instance<P> {
    /// A place for the policy.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Configures the policy. From then on a panic is written to the log before it traps.
    ///
    /// # Errors
    /// The policy's own, or a second call.
    pub fn configure(&self, settings: &str, assets: Vec<Asset>) -> Result<(), String> {
        #[cfg(target_family = "wasm")]
        std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
        let policy = P::configure(settings, &Assets::new(assets))?;
        self.0.set(policy).map_err(|_| "`configure` was called twice".to_owned())
    }

    /// Judges one handshake.
    ///
    /// # Errors
    /// The policy's own, or a call before [`configure`](Self::configure).
    pub fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        let policy = self.0.get().ok_or("`evaluate` was called before `configure`")?;
        policy.evaluate(handshake)
    }
}

impl<P: Policy> Default for Instance<P> {
    fn default() -> Self {
        Self::new()
    }
}
