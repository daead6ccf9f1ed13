"""The URL of a database that processes share: one that cannot be used is one line."""

import pytest
from tiny_run import error_of

from atom_nas.cluster.address import Address
from atom_nas.cluster.server import Server
from atom_nas.cluster.shared_study import after_death
from atom_nas.errors import UserError, hide_passwords

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def url(database):
    return database.new_url()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("nas:", "nobody:"), "password authentication failed"),
        (("127.0.0.1:", "127.0.0.1:x"), "--storage is no URL"),
        (("run", "none"), 'database "none'),
        (("127.0.0.1:", "127.0.0.1:1/x?application_name=a"), "Connection refused"),
        (("+psycopg", "+pg8000"), 'pip install "atom_nas[cluster]"'),
        (("postgresql+psycopg", "sqlite"), "machines share a PostgreSQL one"),
        (("postgresql+psycopg://", ""), "--storage is no URL of a database"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_the_password(url, change, expected):
    with pytest.raises(UserError) as caught:
        Server(Address(url.replace(*change, 1)), after_death)
    line = str(caught.value)
    assert expected in line and "\n" not in line
    assert "s3cret" not in line and "{of}" not in line


def test_a_url_in_the_wrong_place_is_shown_without_its_password(url, capsys):
    assert "s3cret" not in error_of(capsys, ["run", url])
    assert hide_passwords("at a://b:c@d@e/f or g://h@i") == "at a://b:***@e/f or g://h@i"
