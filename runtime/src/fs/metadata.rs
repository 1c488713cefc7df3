use std::fmt;
use std::time::{Duration, SystemTime};

/// What statx(2) tells of a file.
#[derive(Clone, Copy)]
pub struct Metadata(libc::statx);

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharDevice,
    /// What this library does not know, or a directory entry whose file system does not say: ask for its metadata.
    Unknown,
}

impl FileType {
    pub(super) fn of_mode(mode: u32) -> FileType {
        match mode & libc::S_IFMT {
            libc::S_IFREG => FileType::File,
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFLNK => FileType::Symlink,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFBLK => FileType::BlockDevice,
            libc::S_IFCHR => FileType::CharDevice,
            _ => FileType::Unknown,
        }
    }
}

/// What O_DIRECT asks of a read or write, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectAlignment {
    /// The address of the memory is a multiple of this.
    pub memory: usize,
    /// Offset and length are multiples of this.
    pub offset: usize,
}

impl Metadata {
    /// What to ask for: whatever the file system does not know is left out.
    pub(super) const MASK: u32 =
        libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID | libc::STATX_DIOALIGN;

    pub(super) fn new(stat: libc::statx) -> Metadata {
        Metadata(stat)
    }

    fn has(&self, field: u32) -> bool {
        self.0.stx_mask & field != 0
    }

    /// The length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "the length of the file, not of this value")]
    pub fn len(&self) -> u64 {
        self.0.stx_size
    }

    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(u32::from(self.0.stx_mode))
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type() == FileType::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type() == FileType::Symlink
    }

    /// Type and permissions, as in `st_mode` (inode(7)).
    pub fn mode(&self) -> u32 {
        u32::from(self.0.stx_mode)
    }

    /// The owner's number.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// How many names it has.
    pub fn links(&self) -> u32 {
        self.0.stx_nlink
    }

    /// Its number within the file system.
    pub fn inode(&self) -> u64 {
        self.0.stx_ino
    }

    /// The device that holds it, as in `st_dev`.
    pub fn device(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The device that a device file stands for.
    pub fn special_device(&self) -> u64 {
        libc::makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    /// Blocks of 512 bytes that it takes up: fewer than its length needs if it has holes.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    /// The size in bytes in which the file system likes to be read and written.
    pub fn block_size(&self) -> u32 {
        self.0.stx_blksize
    }

    /// When it was last read, as far as the file system notes that.
    pub fn accessed(&self) -> SystemTime {
        time(self.0.stx_atime)
    }

    /// When its contents were last changed.
    pub fn modified(&self) -> SystemTime {
        time(self.0.stx_mtime)
    }

    /// When its contents or its metadata were last changed.
    pub fn changed(&self) -> SystemTime {
        time(self.0.stx_ctime)
    }

    /// When it was made, if the file system knows.
    pub fn created(&self) -> Option<SystemTime> {
        self.has(libc::STATX_BTIME).then(|| time(self.0.stx_btime))
    }

    /// The number of the mount it is on (the first column of `/proc/self/mountinfo`).
    pub fn mount_id(&self) -> Option<u64> {
        self.has(libc::STATX_MNT_ID).then_some(self.0.stx_mnt_id)
    }

    /// What O_DIRECT asks for here. `None` if O_DIRECT is not possible, or if the kernel (before Linux 6.1) or the
    /// file system does not say.
    pub fn direct_alignment(&self) -> Option<DirectAlignment> {
        let (memory, offset) = (self.0.stx_dio_mem_align as usize, self.0.stx_dio_offset_align as usize);
        (self.has(libc::STATX_DIOALIGN) && memory > 0 && offset > 0)
            .then_some(DirectAlignment { memory, offset })
    }

    /// Attributes such as STATX_ATTR_IMMUTABLE, and which of them the file system supports (statx(2)).
    pub fn attributes(&self) -> (u64, u64) {
        (self.0.stx_attributes, self.0.stx_attributes_mask)
    }
}

fn time(stamp: libc::statx_timestamp) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::from(stamp.tv_nsec));
    let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    let whole = match stamp.tv_sec {
        0.. => SystemTime::UNIX_EPOCH.checked_add(seconds),
        _ => SystemTime::UNIX_EPOCH.checked_sub(seconds),
    };
    // 64 bits of seconds, as the kernel has.
    whole.and_then(|whole| whole.checked_add(nanoseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("len", &self.len())
            .field("mode", &format_args!("{:o}", self.mode()))
            .field("inode", &self.inode())
            .finish_non_exhaustive()
    }
}
