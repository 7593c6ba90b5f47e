//! The kernel's release, as `uname -r` prints it, and which boot of it this is.

use std::{fmt, fs};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Tells this boot from any other (`Documentation/admin-guide/sysctl/kernel.rst`,
/// `random`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What tells this boot from any other.
pub fn boot_id() -> Result<String> {
    let id = fs::read_to_string(BOOT_ID).with_context(|| format!("cannot read {BOOT_ID}"))?;
    Ok(id.trim_end().to_owned())
}

/// A kernel release. Ordered by its numbers; the text only breaks ties.
///
/// Distributions carry features back: `4.18.0-348.el8` has much of 5.10. And
/// Debian's `6.1.0-50` counts ABIs, not patches. So a release tells what to
/// expect and explains a failure; what the kernel can do is found by trying.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Release {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; 0 if there is none.
    pub patch: u32,
    /// The whole release, as the kernel gives it.
    pub text: String,
}

impl Release {
    /// The release of the running kernel.
    pub fn running() -> Result<Self> {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Reads a release such as `6.1.0-50-amd64`.
    pub fn parse(text: &str) -> Result<Self> {
        let numeric = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .map_or(text, |end| &text[..end]);
        let mut numbers = numeric.split('.').map(str::parse);
        let mut number = || {
            let number = numbers.next().and_then(Result::ok);
            number
                .with_context(|| format!("{text:?} is not a kernel release: it should begin with two numbers, such as 6.1"))
        };
        Ok(Release {
            major: number()?,
            minor: number()?,
            patch: number().unwrap_or(0),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::release::Release;

    fn numbers(text: &str) -> (u32, u32, u32) {
        let release = Release::parse(text).unwrap();
        assert_eq!(release.to_string(), text);
        (release.major, release.minor, release.patch)
    }

    #[test]
    fn releases_of_distributions() {
        assert_eq!(numbers("6.1.0-50-amd64"), (6, 1, 0));
        assert_eq!(numbers("4.18.0-348.el8"), (4, 18, 0));
        assert_eq!(numbers("6.18.44-fc-v669"), (6, 18, 44));
        assert_eq!(numbers("2.6.18-274.7.1.el5"), (2, 6, 18));
        assert_eq!(numbers("3.10.0-1160.el7.x86_64"), (3, 10, 0));
        assert_eq!(numbers("7.3.4+deb14-amd64"), (7, 3, 4));
        assert_eq!(numbers("6.12-rc3"), (6, 12, 0));
        assert_eq!(numbers("6.1-cloud.2"), (6, 1, 0));
        assert_eq!(numbers("5.10.0.9"), (5, 10, 0));
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "6", "six.one", "6.x", ".6.1", "99999999999.1"] {
            let error = Release::parse(text).unwrap_err().to_string();
            assert!(error.contains("not a kernel release"), "{error}");
        }
    }

    #[test]
    fn releases_are_ordered_by_number() {
        let release = |text| Release::parse(text).unwrap();
        assert!(release("6.1.0-50-amd64") < release("6.12.0-1-amd64"));
        assert!(release("5.10.9") < release("5.10.10"));
        assert!(release("5.9.0") < release("5.11.0"));
    }

    #[test]
    fn the_running_kernel_has_a_release() {
        assert!(Release::running().unwrap().major >= 2);
    }
}
