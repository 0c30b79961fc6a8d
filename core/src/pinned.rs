//! Pinned data: values that may not leave their home domain.

use std::fmt;

use crate::ids::DomainId;

/// A pinned value was asked to go, or to be opened, where it may not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data pinned to {home} may not go to {destination}")]
pub struct PinRefusal {
    /// Where the value lives.
    pub home: DomainId,
    /// Where it was to go.
    pub destination: DomainId,
}

/// A value that may not leave `home`: no `Serialize`, `Clone` or `Deref`, and a redacted `Debug`.
///
/// It is opened only with a [`Standpoint`], the witness of where this process stands, and leaves the
/// process only as [`Cleared`].
///
/// ```
/// use bailiwick_core::ids::DomainId;
/// use bailiwick_core::pinned::{Destination, Pinned, clear};
/// let eu = DomainId::new("eu").unwrap();
/// let value = Pinned::new(eu.clone(), vec![1_u8]);
/// assert!(clear(&value, &Destination::domain(eu)).is_ok());
/// assert!(clear(&value, &Destination::domain(DomainId::new("us").unwrap())).is_err());
/// assert!(format!("{value:?}").contains("redacted"));
/// ```
/// It can't be serialised:
/// ```compile_fail,E0277
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// fn ship<T: serde::Serialize>(_: &T) {}
/// ship(&Pinned::new(DomainId::new("eu").unwrap(), 1_u8));
/// ```
/// nor copied (its twin that passes: a plain value can):
/// ```compile_fail,E0599
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// let value = Pinned::new(DomainId::new("eu").unwrap(), 1_u8);
/// let _second = value.clone();
/// ```
/// ```
/// let value = 1_u8;
/// let _second = value.clone();
/// ```
/// A capturing closure would carry the value out, so `map` takes a `fn` pointer:
/// ```compile_fail,E0308
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// let mut leak = None;
/// let value = Pinned::new(DomainId::new("eu").unwrap(), 7_u8);
/// let _ = value.map(|v| { leak = Some(v); v });
/// ```
/// ```
/// use bailiwick_core::{ids::DomainId, pinned::Pinned};
/// let value = Pinned::new(DomainId::new("eu").unwrap(), 7_u8);
/// let _ = value.map(|v| v + 1);
/// ```
pub struct Pinned<T> {
    home: DomainId,
    value: T,
}

impl<T> Pinned<T> {
    /// Pins `value` to `home`.
    pub fn new(home: DomainId, value: T) -> Self {
        Self { home, value }
    }

    /// The domain the value is pinned to.
    pub fn home(&self) -> &DomainId {
        &self.home
    }

    /// Computes on the value where it lives; the result stays pinned.
    pub fn map<U>(self, compute: fn(T) -> U) -> Pinned<U> {
        Pinned { home: self.home, value: compute(self.value) }
    }

    /// Puts two values of one home together.
    ///
    /// # Errors
    /// [`PinRefusal`] when their homes differ.
    pub fn zip<U>(self, other: Pinned<U>) -> Result<Pinned<(T, U)>, PinRefusal> {
        if self.home == other.home {
            Ok(Pinned { home: self.home, value: (self.value, other.value) })
        } else {
            Err(PinRefusal { home: self.home, destination: other.home })
        }
    }

    /// Reads the value, at home.
    ///
    /// # Errors
    /// [`PinRefusal`] when `here` is another domain.
    pub fn open(&self, here: &Standpoint) -> Result<&T, PinRefusal> {
        here.admits(&self.home).map(|()| &self.value)
    }

    /// Takes the value out, at home.
    ///
    /// # Errors
    /// [`PinRefusal`] when `here` is another domain.
    pub fn unpin(self, here: &Standpoint) -> Result<T, PinRefusal> {
        here.admits(&self.home)?;
        Ok(self.value)
    }
}

impl<T> fmt::Debug for Pinned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({}, [redacted])", self.home)
    }
}

/// The domain this process stands in, as its certificate attests. Made once, at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standpoint {
    domain: DomainId,
}

impl Standpoint {
    /// The standpoint of a process whose *certificate* names `domain`; never from configuration text.
    #[must_use]
    pub fn attested(domain: DomainId) -> Self {
        Self { domain }
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &DomainId {
        &self.domain
    }

    fn admits(&self, home: &DomainId) -> Result<(), PinRefusal> {
        if *home == self.domain {
            Ok(())
        } else {
            Err(PinRefusal { home: home.clone(), destination: self.domain.clone() })
        }
    }
}

/// Where a value is to be sent: the domain in the peer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    domain: DomainId,
}

impl Destination {
    /// A peer in `domain`.
    #[must_use]
    pub fn domain(domain: DomainId) -> Self {
        Self { domain }
    }
}

/// Proof that a pinned value may go to one destination. Only [`clear`] mints it.
///
/// ```compile_fail,E0423
/// use bailiwick_core::{ids::DomainId, pinned::{Cleared, Pinned}};
/// let value = Pinned::new(DomainId::new("eu").unwrap(), 1_u8);
/// let _ = Cleared(&value);
/// ```
#[derive(Debug)]
pub struct Cleared<'a, T>(&'a Pinned<T>);

impl<'a, T> Cleared<'a, T> {
    /// The value, for the encoder of a domestic link.
    #[must_use]
    pub fn value(&self) -> &'a T {
        &self.0.value
    }

    /// The domain it may go to.
    #[must_use]
    pub fn home(&self) -> &'a DomainId {
        &self.0.home
    }
}

/// Clears `value` for `destination`.
///
/// # Errors
/// [`PinRefusal`] when the destination is not the value's home.
pub fn clear<'a, T>(
    value: &'a Pinned<T>,
    destination: &Destination,
) -> Result<Cleared<'a, T>, PinRefusal> {
    if value.home == destination.domain {
        Ok(Cleared(value))
    } else {
        Err(PinRefusal { home: value.home.clone(), destination: destination.domain.clone() })
    }
}
