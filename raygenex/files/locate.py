"""Finding data files: local paths, globs and fsspec URLs, and a local copy of what is remote.

HDF5 needs a real file, so a remote one is downloaded whole into a cache folder before it is opened. fsspec's own
cache, ``filecache``, downloads to the final name and replaces a file that changed: other processes would read half of
one, or another one than they began with.
"""

import glob
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raygenex.errors import ConfigError, DataError
from raygenex.files.whole import whole_file

CACHE_VARIABLE = "RAYGENEX_CACHE"


def locate(patterns: Sequence[str], where: str) -> list[str]:
    """Turn paths, globs and URLs into the files they name.

    Parameters
    ----------
    patterns
        Local paths, relative or absolute, globs (``*``, ``?``, ``[...]``, ``**``), or fsspec URLs such as
        ``s3://bucket/*.h5``, ``gs://``, ``memory://`` and ``file://``.
    where
        The configuration key the patterns come from, such as ``data.train``; it is named in errors.

    Returns
    -------
    Absolute local paths and full URLs: in the order of the patterns, the matches of one glob sorted, each file once.

    Raises
    ------
    DataError
        If a pattern matches nothing, or a URL has an unknown protocol, needs a package that is not installed, or
        cannot be reached.
    """
    found: list[str] = []
    for pattern in patterns:
        matches = _locate_remote(pattern, where) if is_url(pattern) else _locate_local(pattern)
        if not matches:
            raise DataError(f"{where}: nothing matches {pattern!r}; check the path, or correct {where}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def local_copy(path: str) -> str:
    """Return a local path with the contents of ``path``, downloading an fsspec URL of one file once.

    Downloads are kept in the folder ``RAYGENEX_CACHE`` (default: a folder of this user's in the system's temporary
    folder), under a name made from the URL and the remote file's checksum (its size, times and tags), so that a
    changed remote file is downloaded again. Processes that download at the same time never see half a file. Nothing is
    removed: the folder may be emptied whenever no run reads from it.

    Returns
    -------
    An absolute local path. A local ``path`` is not looked at: it may not exist.

    Raises
    ------
    DataError
        If a URL cannot be read.
    """
    if not is_url(path):
        return _absolute(path)
    filesystem, inner = _open_filesystem(path)
    if _is_local(filesystem):
        return str(inner)
    if not Path(inner).name:
        raise DataError(f"{path} names no file; write the URL of one")
    try:
        key = hashlib.sha256(f"{path}\n{filesystem.checksum(inner)}".encode()).hexdigest()[:16]
        target = cache_folder() / f"{key}-{Path(inner).name}"
        if not target.exists():
            with whole_file(target) as aside:
                filesystem.get_file(inner, str(aside))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the URL") from None
    # Each driver raises classes of its own for credentials, networks and permissions.
    except Exception as error:
        raise DataError(f"{path} cannot be downloaded ({_short(error)}); check access, network and disk") from error
    return str(target)


def cache_folder() -> Path:
    """Return the folder of downloaded files, made if needed and closed to other users."""
    default = Path(tempfile.gettempdir()) / f"raygenex-{os.getuid()}"
    folder = Path(os.path.expanduser(os.environ.get(CACHE_VARIABLE) or default)).absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # In a temporary folder that all users share, another one may have made it first, to give us files of his own.
    if folder == default and (folder.is_symlink() or folder.lstat().st_uid != os.getuid()):
        raise DataError(f"{folder} is another user's: set {CACHE_VARIABLE} to a folder of this user's")
    return folder


def written_path(path: str, what: str) -> Path:
    """Return where something is to be written; ``~`` and ``~user`` are home folders, as in a shell.

    Parameters
    ----------
    path
        A local path, as a user gave it.
    what
        The key or option that it comes from; it is named in errors.

    Raises
    ------
    ConfigError
        If it is a URL or no path, or nobody has that home folder.
    """
    if is_url(path):
        raise ConfigError(
            f"{what} is {path}, a URL, and files are written to local paths alone: give one, and copy from there"
        )
    _refuse_zero(path)
    full = os.path.expanduser(path)
    if full.startswith("~"):
        raise ConfigError(f"{what} is {path}, and there is no such home folder: give the whole path, or ./{path}")
    return Path(full)


def check_new_file(target: Path, what: str, force: bool) -> None:
    """Check that a file can be made: refuse a folder in its place, a file without ``force``, and no folder to be in.

    Raises
    ------
    ConfigError
        It begins with ``what``, such as ``output out.csv``.
    """
    if target.is_dir():
        raise ConfigError(f"{what} is a folder: name a file")
    if target.exists() and not force:
        raise ConfigError(f"{what} exists: pass --force to replace it, or name another file")
    check_folder_of(target, what)


def check_folder_of(target: Path, what: str) -> None:
    """Refuse, with a ConfigError, a file to be made where no folder is."""
    folder = target.absolute().parent
    if (file := file_among(folder)) is not None:
        raise ConfigError(f"{what} cannot be below {file}, which is a file: name another folder")
    if not folder.is_dir():
        raise ConfigError(f"the folder of {what} does not exist: make it first")


def file_among(folder: Path) -> Path | None:
    """Return the file that stands where a folder or one above it should be; None if there is none."""
    found = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return found if found.exists() and not found.is_dir() else None


def is_url(path: str) -> bool:
    """Whether ``path`` is a URL, ``protocol://...``, rather than a local path."""
    return "://" in path


def _absolute(path: str) -> str:
    _refuse_zero(path)
    return os.path.abspath(os.path.expanduser(path))


def _locate_local(pattern: str) -> list[str]:
    path = _absolute(pattern)
    # A name may hold brackets of its own: an existing file is never a glob.
    if os.path.exists(path):
        return [path]
    return sorted(glob.glob(path, recursive=True))


def _locate_remote(url: str, where: str) -> list[str]:
    filesystem, inner = _open_filesystem(url)
    try:
        matches = sorted(filesystem.glob(inner)) if glob.has_magic(inner) else [inner] * filesystem.exists(inner)
    # As above: the classes are the driver's.
    except Exception as error:
        raise DataError(f"{where}: {url} cannot be listed ({_short(error)}); check access and network") from error
    return [str(match if _is_local(filesystem) else filesystem.unstrip_protocol(match)) for match in matches]


def _open_filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    _refuse_zero(url)
    try:
        return url_to_fs(url)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or url.split("://")[0]
        raise DataError(f"{url} needs a package that is not installed: run `pip install {missing}`") from None
    except (ValueError, OSError) as error:
        raise DataError(
            f"{url} cannot be opened ({_short(error)}); use a local path, s3://, gs:// or https://"
        ) from None


def _refuse_zero(path: str) -> None:
    if "\0" in path:
        raise DataError(f"{path} is not a path: it holds a zero byte; correct it")


def _is_local(filesystem: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(filesystem, LocalFileSystem)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


def short_path(path: str) -> str:
    """Show a path from the working directory where it lies below it, and as it is where that directory is gone."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return path
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
