"""Files in the database: each in a study of its own, named by the digest of its content.

They are text there (base64, a third more than the bytes), in attributes of one trial. That study is
read by nobody but who wants the file.
"""

import base64
import hashlib
import io
import zipfile
from pathlib import Path

from optuna.trial import TrialState, create_trial

from atom_nas.cluster.server import Server
from atom_nas.errors import DamagedError
from atom_nas.storage.files import write_atomically

CHUNK = 3 * 2**20
"""Bytes in an attribute."""


class SharedFiles:
    """The files in the studies whose names begin with `prefix`."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server, self._prefix = server, prefix

    @staticmethod
    def digest(content: bytes) -> str:
        """Return the SHA-256 of `content`."""
        return hashlib.sha256(content).hexdigest()

    def put(self, content: bytes) -> str:
        """Keep `content`, and return its digest."""
        digest = self.digest(content)
        study = self._server.study(f"{self._prefix}/{digest}")
        chunks = [content[i : i + CHUNK] for i in range(0, len(content), CHUNK)]
        attrs = {str(i): base64.b64encode(each).decode() for i, each in enumerate(chunks)}
        trial = create_trial(state=TrialState.COMPLETE, value=len(content), user_attrs=attrs)
        self._server.patiently(lambda: study.add_trial(trial))
        return digest

    def get(self, digest: str) -> bytes | None:
        """Return the content with the `digest`, or None where it is not kept, whole."""
        rdb, name = self._server.rdb, f"{self._prefix}/{digest}"
        try:
            trials = self._server.patiently(
                lambda: rdb.get_all_trials(rdb.get_study_id_from_name(name), deepcopy=False)
            )
        except KeyError:
            return None
        for trial in trials:
            chunks = [trial.user_attrs[str(i)] for i in range(len(trial.user_attrs))]
            content = b"".join(map(base64.b64decode, chunks))
            if self.digest(content) == digest:
                return content
        return None


def pack(folder: Path) -> bytes:
    """Return the files in `folder`, none where there is none, as a ZIP that is the same again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.glob("[!.]*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write the files that `pack` returned to `folder`, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if Path(name).name != name:
                raise DamagedError(folder / name)
            write_atomically(folder / name, archive.read(name))
