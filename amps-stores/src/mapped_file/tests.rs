use super::*;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    (directory, path)
}

fn made(path: &Path, content: &[u8]) -> MappedFile {
    let empty = MappedFile::open(path).unwrap();
    empty
        .replace(content.len(), |new| {
            new.bytes_mut().copy_from_slice(content);
            Ok(())
        })
        .unwrap()
}

fn reason(result: Result<MappedFile>) -> String {
    let error = result.err().unwrap();
    assert!(matches!(error, Error::Store(_)), "{error}");
    error.to_string()
}

#[test]
fn what_is_written_to_the_map_is_in_the_file() {
    let (_directory, path) = place();
    let mut file = made(&path, b"0123456789");
    file.bytes_mut()[3] = b'x';
    assert_eq!(fs::read(&path).unwrap(), b"012x456789");
    file.sync(0, 100).unwrap();
    drop(file);
    assert_eq!(MappedFile::open(&path).unwrap().bytes(), b"012x456789");
}

#[test]
fn a_second_opener_is_refused_while_the_first_lives_also_in_the_same_process() {
    let (_directory, path) = place();
    let first = made(&path, b"content");
    assert!(reason(MappedFile::open(&path)).contains("another store has it open"));
    drop(first);
    assert_eq!(MappedFile::open(&path).unwrap().bytes(), b"content");
}

#[cfg(unix)]
#[test]
fn the_lock_ends_with_the_store_also_while_a_process_that_is_being_started_has_the_file() {
    let (_directory, path) = place();
    let first = made(&path, b"content");
    // As between fork and exec.
    let copy = first.file.try_clone().unwrap();
    drop(first);
    assert_eq!(MappedFile::open(&path).unwrap().bytes(), b"content");
    drop(copy);
}

#[test]
fn the_lock_goes_on_through_a_replacement_and_the_old_content_stays_if_it_fails() {
    let (_directory, path) = place();
    let file = made(&path, b"first");
    let file = file
        .replace(6, |new| {
            assert!(reason(MappedFile::open(&path)).contains("another store"));
            new.bytes_mut().copy_from_slice(b"second");
            Ok(())
        })
        .unwrap();
    assert!(reason(MappedFile::open(&path)).contains("another store"));
    assert_eq!(fs::read(&path).unwrap(), b"second");
    let refusal = || refused(Path::new("here"), "no");
    assert!(file.replace(5, |_| Err(refusal())).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_file_that_was_being_made_when_its_maker_died_is_made_anew() {
    let (_directory, path) = place();
    fs::write(&path, b"").unwrap();
    fs::write(with_suffix(&path, ".new"), b"half").unwrap();
    assert_eq!(MappedFile::open(&path).unwrap().len(), 0);
    assert_eq!(made(&path, b"whole").bytes(), b"whole");
}

#[test]
fn growth_keeps_the_content_adds_zeros_and_allocates_them() {
    let (_directory, path) = place();
    let mut file = made(&path, b"content");
    file.grow(1 << 20).unwrap();
    assert_eq!(file.len(), 1 << 20);
    assert!(file.bytes().starts_with(b"content\0"));
    assert!(file.bytes()[7..].iter().all(|byte| *byte == 0));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
    }
    file.grow(10).unwrap();
    assert_eq!(file.len(), 1 << 20);
    file.shrink(4).unwrap();
    assert_eq!(file.bytes(), b"cont");
}

#[test]
fn zeros_are_written_where_the_system_cannot_allocate() {
    let (_directory, path) = place();
    fs::write(&path, b"content").unwrap();
    let file = lock::open_shared(&path).unwrap();
    allocate::write_zeros(&file, 7, 200_000).unwrap();
    let content = fs::read(&path).unwrap();
    assert_eq!(content.len(), 200_000);
    assert!(content.starts_with(b"content\0"));
}

#[test]
fn growth_beyond_the_disk_is_an_error_and_everything_is_as_before() {
    let (_directory, path) = place();
    let mut file = made(&path, b"content");
    let error = file.grow(1 << 60).unwrap_err();
    assert!(matches!(error, Error::Store(_)));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(file.bytes(), b"content");
    assert_eq!(fs::metadata(&path).unwrap().len(), 7);
}

#[test]
fn a_commit_writes_eight_bytes_in_little_endian() {
    let (_directory, path) = place();
    let mut file = made(&path, &[0xff; 24]);
    file.commit(8, 0x0102);
    assert_eq!(file.bytes()[8..16], [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!((file.bytes()[7], file.bytes()[16]), (0xff, 0xff));
}

#[test]
#[should_panic(expected = "multiple of eight")]
fn a_commit_across_words_is_refused() {
    let (_directory, path) = place();
    made(&path, &[0; 24]).commit(4, 1);
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    let (directory, _path) = place();
    assert!(reason(MappedFile::open(directory.path())).contains("irectory"));
    let missing = directory.path().join("no/such/place");
    assert!(reason(MappedFile::open(&missing)).contains("open the store file"));
    #[cfg(unix)]
    assert!(reason(MappedFile::open(Path::new("/dev/null"))).contains("not a regular file"));
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_stays_a_link() {
    let (directory, path) = place();
    let link = directory.path().join("link");
    fs::write(&path, b"").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let file = made(&link, b"content");
    assert_eq!(file.path(), fs::canonicalize(&path).unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&path).unwrap(), b"content");
}

#[test]
fn copies_of_a_damaged_file_do_not_overwrite_each_other() {
    let (_directory, path) = place();
    let file = made(&path, b"content");
    let (first, second) = (file.copy_aside().unwrap(), file.copy_aside().unwrap());
    assert_ne!(first, second);
    assert_eq!(fs::read(first).unwrap(), b"content");
    assert_eq!(fs::read(second).unwrap(), b"content");
}

#[test]
fn the_run_of_the_machine_has_one_id() {
    assert_eq!(boot_id(), boot_id());
    #[cfg(target_os = "linux")]
    assert!(boot_id().is_some());
}
