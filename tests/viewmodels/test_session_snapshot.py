"""Published snapshots in the session: opened like any prior, refused in words."""

from tests.snapshots import dump, random_snapshot


def test_a_published_snapshot_opens_as_a_prior(session, drive, tmp_path):
    path = tmp_path / "network-snapshot-000001.pkl"
    path.write_bytes(dump(random_snapshot()))
    assert drive(session.prior.open(path)) is True
    assert session.prior.loaded.conventions.patch_sizes == (16, 32, 56)
    assert session.prior.record.training["source"] == "published snapshot"
    kept = session.prior.loaded
    (tmp_path / "hostile.pkl").write_bytes(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.")
    assert drive(session.prior.open(tmp_path / "hostile.pkl")) is False
    assert session.prior.loaded is kept
    assert "asks for posix.system" in session.said[-1][1]
