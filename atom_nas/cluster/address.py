"""The address of a database: read, and never shown with its password."""

from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from atom_nas.errors import UserError

EXAMPLE = "postgresql+psycopg://user@host/database"

SECRET = ("password", "sslpassword")
"""What of a URL's query is not shown."""


class Address:
    """Where the database is and who logs in; as text without the password."""

    def __init__(self, text: str) -> None:
        """Read the URL `text`; UserError where it is none of PostgreSQL."""
        try:
            self.url: URL = make_url(text)
        except (ArgumentError, ValueError):
            raise UserError(f"--storage is no URL of a database; give {EXAMPLE}.") from None
        if self.url.get_backend_name() != "postgresql":
            raise UserError(
                f"--storage is a {self.url.get_backend_name()} database; machines share a "
                f"PostgreSQL one: give {EXAMPLE}."
            )
        if self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")

    def __str__(self) -> str:
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.host or 'this machine'}{port}/{self.url.database or ''}"

    def hide(self, text: str) -> str:
        """Return `text` in one line, with *** for the password, however it is written."""
        given = (str(self.url.password or ""), *map(str, map(self.url.query.get, SECRET)))
        for secret in given:
            for written in {secret, quote(secret), quote(secret, safe=" +"), quote_plus(secret)}:
                if secret not in ("", "None"):
                    text = text.replace(written, "***")
        return " ".join(text.split())
