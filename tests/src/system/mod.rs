//! What is tried on a Debian system that boots from a disk: what the limit is after
//! a boot, a reload of the module, the restart of a service, what ctdrop foretells and
//! mends of it; and what its packages do.

mod boots;
mod containers;
mod documented;
mod etc;
mod fix;
mod fix_by_hand;
mod foretold;
mod image;
mod limit;
mod logs;
mod observed;
mod packaged;
mod packages;
mod patience;
mod power;
mod service;
mod spelling;
mod story;
mod sysctl;

pub use self::{
    limit::{Outcomes, Survival},
    packages::are_there as packages_are_there,
    story::Story,
};

/// Stories of a system with podman.
pub static WITH_PODMAN: &[&Story] = &[&containers::CONTAINERS, &image::IMAGE];

/// All other stories.
pub static ALL: &[&Story] = &[
    &boots::BOOTS,
    &sysctl::LOST_AT_BOOT,
    &sysctl::KEPT_AT_BOOT,
    &sysctl::APPLIERS,
    &service::RESTART,
    &spelling::SPELLING,
    &fix::FIX,
    &fix_by_hand::FIX_BY_HAND,
    &logs::LOGS,
    &documented::DOCUMENTED,
    &power::POWER,
    &packaged::PACKAGES,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stories_have_names_of_their_own_and_absolute_paths() {
        let names: BTreeSet<_> = ALL.iter().map(|story| story.name).collect();
        assert_eq!(names.len(), ALL.len());
        let mut files = ALL.iter().flat_map(|story| story.files);
        assert!(files.all(|(path, _)| path.starts_with('/')));
    }
}
