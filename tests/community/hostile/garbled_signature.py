"""A signature that cannot be read."""

from tests.community.stranger import Stranger

WHY = "cannot be read"


def make(stranger: Stranger) -> None:
    body = stranger.body(stranger.page(stranger.record()), [stranger.root()])
    garbled = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n"
    stranger.offer(stranger.object("commit", stranger.signed(body, garbled)))
