//! A socket's place in the file system, taken and left in single steps.
//!
//! Others may take the same path at any moment: a successor, or somebody who makes a file of that name. So nothing is
//! replaced or removed because of what was seen there before, but because of what came out.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::net::{bind, listen};

use super::packet;

/// How often something may be put at a path, or taken from it, between a look and a move.
const TRIES: usize = 100;

/// Where a socket can be reached.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Where it was made, beside the path. Nobody else uses this name.
    beside: PathBuf,
    /// Device and inode, to tell it from another's. Not given to anything else while the socket is open.
    identity: (u64, u64),
}

/// Listens at a path, in place of a socket that is there. At no time is there none.
pub(super) fn listen_at(path: &Path) -> io::Result<(OwnedFd, Place)> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(not_a_socket());
    }
    let (listener, place) = listen_beside(path)?;
    match place.take() {
        Ok(()) => Ok((listener, place)),
        Err(error) => {
            place.clear();
            Err(error)
        }
    }
}

/// Listens at a name of its own first.
fn listen_beside(path: &Path) -> io::Result<(OwnedFd, Place)> {
    let (listener, beside) = bind_beside(path)?;
    let ready = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
        .and_then(|()| Ok(listen(&listener, 4)?))
        .and_then(|()| identity(&beside));
    match ready {
        Ok(identity) => Ok((listener, Place { path: path.to_owned(), beside, identity })),
        Err(error) => {
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

/// Binds a new socket to a name that is free.
fn bind_beside(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let listener = packet::socket()?;
    for _ in 0..TRIES {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let beside = PathBuf::from(beside);
        match bind(&listener, &packet::address(&beside)?) {
            Ok(()) => return Ok((listener, beside)),
            // Of a process with this number, in another container or before: it is not ours to remove.
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::ADDRINUSE.into())
}

impl Place {
    /// Moves the socket to its path.
    fn take(&self) -> io::Result<()> {
        for _ in 0..TRIES {
            match rename(&self.beside, &self.path, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(error) if lacks_flags(error) => return fs::rename(&self.beside, &self.path),
                moved => return Ok(moved?),
            }
            match rename(&self.beside, &self.path, RenameFlags::EXCHANGE) {
                Ok(()) => return self.part_with_former(),
                // It went away just now.
                Err(Errno::NOENT) => {}
                Err(error) if lacks_flags(error) => return fs::rename(&self.beside, &self.path),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("something comes and goes there all the time"))
    }

    /// Removes the socket that was at the path before; anything else goes back to where it was.
    fn part_with_former(&self) -> io::Result<()> {
        if is_socket(&self.beside) {
            return fs::remove_file(&self.beside);
        }
        match rename(&self.beside, &self.path, RenameFlags::EXCHANGE) {
            // The socket has been removed from there.
            Err(Errno::NOENT) => rename(&self.beside, &self.path, RenameFlags::NOREPLACE)?,
            moved => moved?,
        }
        Err(not_a_socket())
    }

    /// Removes the socket from its path, unless there is another's.
    pub(super) fn leave(&self) {
        if !self.is_at(&self.path) {
            return;
        }
        match rename(&self.path, &self.beside, RenameFlags::NOREPLACE) {
            Err(error) if lacks_flags(error) => {
                let _ = fs::remove_file(&self.path);
                return;
            }
            Err(_) => return,
            Ok(()) => {}
        }
        // What a successor put there between the look and the move goes back, unless there is a later one's by now.
        if self.is_at(&self.beside) || rename(&self.beside, &self.path, RenameFlags::NOREPLACE).is_err() {
            self.clear();
        }
    }

    /// Removes what is left beside the path, if it is a socket: a file that came there is somebody's.
    fn clear(&self) {
        if is_socket(&self.beside) {
            let _ = fs::remove_file(&self.beside);
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        identity(path).is_ok_and(|found| found == self.identity)
    }
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> rustix::io::Result<()> {
    renameat_with(CWD, from, CWD, to, flags)
}

/// Whether it is the file system, such as NFS, that can't rename with flags. What comes between a look and a move there
/// is replaced.
fn lacks_flags(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let data = fs::symlink_metadata(path)?;
    Ok((data.dev(), data.ino()))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn not_a_socket() -> io::Error {
    let what = "there is something that is not a socket: choose another path";
    io::Error::new(io::ErrorKind::AlreadyExists, what)
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// A directory that is empty, and must be so at the end.
    struct Fresh(PathBuf);

    impl Fresh {
        fn new(name: &str) -> Fresh {
            let path = std::env::temp_dir().join(format!("covet-place-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("nobody else uses this name");
            Fresh(path)
        }

        fn path(&self) -> PathBuf {
            self.0.join("offer")
        }
    }

    impl Drop for Fresh {
        fn drop(&mut self) {
            let left = fs::read_dir(&self.0).expect("it is still there").count();
            fs::remove_dir_all(&self.0).expect("what is in it is ours");
            assert!(thread::panicking() || left == 0, "{left} files are left behind");
        }
    }

    #[test]
    fn a_file_that_comes_after_the_look_is_as_it_was() {
        let folder = Fresh::new("file");
        let path = folder.path();
        let (_listener, place) = listen_beside(&path).unwrap();
        fs::write(&path, "somebody's").unwrap();
        assert_eq!(place.take().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        place.leave();
        place.clear();
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn one_that_leaves_spares_its_successor() {
        let folder = Fresh::new("successor");
        let path = folder.path();
        for _ in 0..1000 {
            let (_listener, place) = listen_at(&path).unwrap();
            let both = Barrier::new(2);
            let (_next_listener, next) = thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    place.leave();
                });
                both.wait();
                listen_at(&path).unwrap()
            });
            assert!(next.is_at(&path), "the successor's socket is gone");
            next.leave();
            assert!(!path.exists());
        }
    }

    #[test]
    fn of_many_that_come_at_once_one_is_there() {
        let folder = Fresh::new("many");
        let path = folder.path();
        for _ in 0..100 {
            let all = Barrier::new(4);
            let places: Vec<_> = thread::scope(|scope| {
                let come = || {
                    all.wait();
                    listen_at(&path).unwrap()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(places.iter().filter(|(_, place)| place.is_at(&path)).count(), 1);
            places.iter().for_each(|(_, place)| place.leave());
            assert!(!path.exists());
        }
    }
}
