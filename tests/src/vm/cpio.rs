//! Writes the archive format of an initramfs, "newc" cpio.
//!
//! Format: <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};

/// Type bits of a directory, `S_IFDIR`.
const DIRECTORY: u32 = 0o040_000;
/// Type bits of a character device, `S_IFCHR`.
const CHARACTER: u32 = 0o020_000;
/// Type bits of a regular file, `S_IFREG`.
const REGULAR: u32 = 0o100_000;
/// Type bits of a symbolic link, `S_IFLNK`.
const SYMLINK: u32 = 0o120_000;

/// An archive being written. Archives may be concatenated: the kernel unpacks
/// them one after the other over the same tree.
#[derive(Debug)]
pub(super) struct Archive<W> {
    /// Where the archive goes.
    out: W,
    /// Inode number of the last entry; entries that shared one would be linked.
    inode: u32,
    /// Directories that are in the archive.
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// Starts an archive at `out`.
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            inode: 0,
            directories: BTreeSet::new(),
        }
    }

    /// Adds a directory and those above it.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        let name = path.trim_matches('/');
        if name.is_empty() || self.directories.contains(name) {
            return Ok(());
        }
        self.parents(name)?;
        self.directories.insert(name.to_owned());
        self.entry(name, DIRECTORY | 0o755, (0, 0), &[])
    }

    /// Adds a regular file and the directories above it.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, REGULAR | mode, (0, 0), content)
    }

    /// Adds a symbolic link and the directories above it.
    pub(super) fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes())
    }

    /// Adds a character device and the directories above it.
    pub(super) fn character_device(
        &mut self,
        path: &str,
        major: u32,
        minor: u32,
    ) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, CHARACTER | 0o600, (major, minor), &[])
    }

    /// Ends the archive and gives its destination back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Adds the directories above `path`.
    fn parents(&mut self, path: &str) -> io::Result<()> {
        let above = Path::new(path)
            .parent()
            .and_then(Path::to_str)
            .unwrap_or_default();
        self.directory(above)
    }

    /// Adds one entry: a header of hexadecimal fields, the name, the content,
    /// each padded to a multiple of four bytes.
    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        let name = path.trim_start_matches('/');
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        self.inode += 1;
        let (inode, (major, minor)) = (self.inode, device);
        let fields = [
            inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0,
        ];
        let fields: Vec<_> = fields.iter().map(|field| format!("{field:08X}")).collect();
        let header = format!("070701{}{name}\0", fields.concat());
        self.padded(header.as_bytes())?;
        self.padded(content)
    }

    /// Writes `bytes` and as many zeros as fill up four bytes. The parts of an
    /// entry are padded one by one, which is the same as padding the position,
    /// because every part starts at a multiple of four.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let rest = bytes.len().next_multiple_of(4) - bytes.len();
        self.out.write_all(&[0; 3][..rest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of every entry of an archive.
    fn entries(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !archive.is_empty() {
            assert_eq!(&archive[..6], b"070701");
            let field = |index: usize| {
                let digits = std::str::from_utf8(&archive[6 + 8 * index..][..8]).unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(archive[110..110 + name_size - 1].to_vec()).unwrap();
            let content = (110 + name_size).next_multiple_of(4);
            found.push((name, mode, archive[content..content + size].to_vec()));
            archive = &archive[(content + size).next_multiple_of(4)..];
        }
        found
    }

    #[test]
    fn entries_come_with_their_directories_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/bin/a", 0o755, b"hello").unwrap();
        archive.symlink("/bin/b", "a").unwrap();
        archive.character_device("/dev/console", 5, 1).unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(
            bytes.len() % 4,
            0,
            "the next archive must start at a multiple of four"
        );
        let expected = [
            ("bin", 0o040_755, &b""[..]),
            ("bin/a", 0o100_755, b"hello"),
            ("bin/b", 0o120_777, b"a"),
            ("dev", 0o040_755, b""),
            ("dev/console", 0o020_600, b""),
            ("TRAILER!!!", 0, b""),
        ];
        let expected =
            expected.map(|(name, mode, content)| (name.to_owned(), mode, content.to_vec()));
        assert_eq!(entries(&bytes), expected);
    }
}
