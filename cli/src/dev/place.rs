//! Where a domain's processes run: on loopback with all others, or in a network namespace of their own.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

/// A domain's own address, and the network namespace that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The domain.
    pub domain: String,
    /// Where its processes listen.
    pub address: IpAddr,
    /// The file of the namespace, as `ip netns add` makes it.
    pub namespace: PathBuf,
}

impl Place {
    /// The command that runs `binary` there; without a place it runs where its parent does.
    #[must_use]
    pub fn command(place: Option<&Self>, binary: &Path) -> Command {
        let Some(place) = place else { return Command::new(binary) };
        let mut command = Command::new("nsenter");
        let mut net = OsString::from("--net=");
        net.push(&place.namespace);
        command.arg(net).arg(binary);
        command
    }

    /// The place of a domain among several.
    #[must_use]
    pub fn of<'a>(places: &'a [Self], domain: &str) -> Option<&'a Self> {
        places.iter().find(|place| place.domain == domain)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not DOMAIN=ADDRESS@FILE, like eu=10.77.1.1@/run/netns/eu");
        let (domain, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (address, namespace) = rest.split_once('@').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        Ok(Self { domain: domain.into(), address, namespace: namespace.into() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}@{}", self.domain, self.address, self.namespace.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_it_is_read_and_runs_programs_there() {
        let text = "eu=10.77.1.1@/run/netns/eu";
        let place: Place = text.parse().unwrap();
        assert_eq!(place.to_string(), text);
        let there = Place::command(Some(&place), Path::new("/bin/true"));
        let words: Vec<_> = std::iter::once(there.get_program()).chain(there.get_args()).collect();
        assert_eq!(words, ["nsenter", "--net=/run/netns/eu", "/bin/true"]);
        let here = Place::command(None, Path::new("/bin/true"));
        assert_eq!(here.get_program(), "/bin/true");
        assert_eq!(Place::of(std::slice::from_ref(&place), "eu"), Some(&place));
        assert_eq!(Place::of(&[place], "us"), None);
    }

    #[test]
    fn what_is_no_place_is_named() {
        for text in ["", "eu", "eu=10.77.1.1", "eu=here@/run/netns/eu", "10.77.1.1@/run"] {
            assert!(text.parse::<Place>().unwrap_err().contains("DOMAIN=ADDRESS@FILE"), "{text}");
        }
    }
}
