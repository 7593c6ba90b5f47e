//! The programs that apply files of sysctls, of several Debian releases, run in a
//! directory of their own: what they set there are plain files, and nothing of this
//! machine changes.

mod host;
mod program;
mod writes;

pub use self::{
    host::{CONF, DIRECTORIES, Host, Kept, Tree},
    program::{ALL, Kind, Program},
    writes::Written,
};
